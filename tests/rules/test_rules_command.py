"""The command `ahx rules`, and the examples of the documentation."""

import io
import re
import shlex
from pathlib import Path

import pytest

from ahx.rules import presets
from entrypoints.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
CONSOLE = "\n".join(re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
DOCUMENTED = [
    (call.partition("\n")[0], call.partition("\n")[2]) for call in re.split(r"^\$ ", CONSOLE, flags=re.MULTILINE)
]


@pytest.mark.parametrize(("command", "printed"), DOCUMENTED[1:])
def test_the_documentation_shows_what_is_printed(
    command: str,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = re.search(r"```python\n# shout.py\n(.*?)```", PAGE, re.DOTALL)
    assert module
    (tmp_path / "shout.py").write_text(module[1])
    monkeypatch.chdir(tmp_path)
    code = main(shlex.split(command)[1:])
    output = capsys.readouterr()
    assert output.out + output.err == printed.rstrip("\n") + "\n"
    assert code == (2 if output.err else 0)


def test_alone_it_lists_the_presets_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    printed = capsys.readouterr().out
    for name in presets():
        assert re.search(rf"^{name} +\S.* -> ", printed, re.MULTILINE)
    assert "ahx rules apply 'A -> AA' ABA" in printed


@pytest.mark.parametrize("name", presets())
def test_every_preset_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "show", name]) == 0
    assert presets()[name].description in capsys.readouterr().out


def test_show_double_a(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "show", "double_a"]) == 0
    assert capsys.readouterr().out == (
        "double_a: Every A is written twice.\n\n"
        "rule        A -> AA\n"
        "family      substitution\n"
        "alphabet    AB\n"
        "example     ABA -> AABAA\n"
        "transducer  starts on the left, sees the cell under its cursor\n\n"
        "the steps on ABA:\n"
        "step  reads    writes  moves  state\n"
        "1     A        A       0      1\n"
        "2     A        A       +1\n"
        "3     B        B       +1\n"
        "4     A        A       0      1\n"
        "5     A        A       +1\n"
        "6     <right>  <stop>  0\n"
    )


def test_show_takes_any_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "show", "string:capwords; alphabet=ab"]) == 0
    printed = capsys.readouterr().out
    assert "family      python\n" in printed
    assert "example     abb -> Abb\n" in printed
    assert "transducer  none;" in printed


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_inputs_come_from_standard_input(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeff1011\r\n\n111"))
    assert main(["rules", "apply", "increment", *arguments]) == 0
    assert capsys.readouterr().out == "1100\n1\n1000\n"


def test_several_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "apply", "reverse", "AB", "CD", "--trace"]) == 0
    assert capsys.readouterr().out == "AB\nBA\n\nCD\nDC\n"


@pytest.mark.parametrize("line", ["double_a --trace A B", "--trace double_a A B", "double_a --max-steps 9 A --trace B"])
def test_options_may_stand_anywhere(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "apply", *line.split()]) == 0
    assert capsys.readouterr().out == "A\nAA\n\nB\nB\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "doubel_a"], "there is no preset or file 'doubel_a'; did you mean double_a?"),
        (["apply"], "the following arguments are required: RULE"),
        (["apply", "copy", "A", "--max-steps", "-1"], "--max-steps: must be 0 or more (got -1)"),
        (["apply", "copy", "A", "--max-steps", "many"], "--max-steps: must be a whole number (got 'many')"),
        (["apply", "ca: 30; steps=99", "1", "--steps"], "the rule ca: 30; steps=99 has no transducer"),
        (
            ["apply", "@missing.rule", "1"],
            "cannot read the rule file missing.rule: no such file or directory; check the path",
        ),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", *arguments]) in (1, 2)
    assert sentence in capsys.readouterr().err
