"""The commands `ahx eval` and `ahx interactive`."""

import builtins
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ahx.evaluation.conversation import marked
from ahx.evaluation.rewriter import Rewriting
from ahx.model import checkpoint

Ahx = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pair_of_files(tmp_path: Path) -> Path:
    """x_train.txt and x_val.txt, of which half is in x_train.txt."""
    (tmp_path / "x_train.txt").write_text("A,AA\nC,C\nCA,CAA\n")
    (tmp_path / "x_val.txt").write_text("# right\nA,AA\nAB,AA\nCA,CAA\nCCC,CCC\n")
    return tmp_path / "x"


# ahx eval


def test_eval_of_the_models_own_rule(ahx: Ahx, folder: Path) -> None:
    code, out, err = ahx("eval", "--model", folder, "--num-samples", 500, "--device", "cpu")
    assert (code, err) == (0, "")
    assert "exact match    500 / 500  100.00 %" in out
    assert "over 'ABC'" in out
    assert "the first failures" not in out


def test_eval_by_length_as_json(ahx: Ahx, folder: Path) -> None:
    code, out, _ = ahx("eval", "--model", folder, "--lengths", "6,60", "--num-samples", 40, "--json", "--decode")
    assert code == 0
    found = json.loads(out)
    assert (found["mode"], found["samples"], found["exact"], found["min_margin"]) == ("decoded", 80, 80, None)
    assert [(row["min_len"], row["samples"], row["exact"]) for row in found["by_length"]] == [(6, 40, 40), (60, 40, 40)]


def test_eval_at_multiples_of_the_training_length(ahx: Ahx, folder: Path) -> None:
    _, out, _ = ahx("eval", "--model", folder, "--lengths", "--num-samples", 3, "--json")
    rows = [(row["min_len"], row["max_len"]) for row in json.loads(out)["by_length"]]
    assert rows == [(1, 6), (12, 12), (30, 30), (60, 60), (120, 120)]
    _, out, _ = ahx("eval", "--model", folder, "--lengths", "--max-len", 4, "--num-samples", 3, "--json")
    rows = [(row["min_len"], row["max_len"]) for row in json.loads(out)["by_length"]]
    assert rows == [(1, 4), (8, 8), (20, 20), (40, 40), (80, 80)]


@pytest.mark.parametrize("data", ["x", "x_val.txt"])
def test_eval_of_a_file(ahx: Ahx, folder: Path, pair_of_files: Path, data: str) -> None:
    path = pair_of_files.parent / data
    code, out, _ = ahx("eval", "--model_file", folder, "--data_file", path, "--json")
    found = json.loads(out)
    assert (code, found["samples"], found["exact"]) == (0, 4, 4)
    assert found["data"] == f"{pair_of_files}_val.txt"


def test_eval_of_the_first_lines_of_a_file(ahx: Ahx, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("A,AA\r\nAC,AC\r\nB,\r\n")
    _, out, _ = ahx("eval", "--model", folder, "--data", tmp_path / "mine.txt", "--num-samples", 2, "--json")
    found = json.loads(out)
    assert (found["samples"], found["exact"]) == (2, 1)


def test_require_exact(ahx: Ahx, folder: Path, pair_of_files: Path) -> None:
    words = ["eval", "--model", folder, "--data", f"{pair_of_files}_val.txt"]
    assert ahx(*words, "--require-exact")[0] == 0
    with open(f"{pair_of_files}_val.txt", "a", encoding="utf-8") as file:
        file.write("X,X\n")
    assert ahx(*words)[0] == 0
    code, out, _ = ahx(*words, "--require-exact")
    assert code == 1
    assert "1  the input has a symbol that the model has no token for" in out


def test_eval_of_another_rule_keeps_to_the_models_alphabet(ahx: Ahx, folder: Path) -> None:
    _, out, _ = ahx("eval", "--model", folder, "--rule", "copy", "--num-samples", 50, "--json")
    found = json.loads(out)
    assert 0 < found["exact"] < 50
    assert set(found["failure_reasons"]) == {"teacher"}


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ("--json", 2, "which model? Name a run's folder: --model runs/double_a"),
        ("--model missing", 1, "there is no model at missing"),
        ("--model {tmp}", 1, "is not a model: it has no config.json"),
        ("--model {run} --num-samples 0", 2, "--num-samples: must be at least 1 (got 0)"),
        ("--model {run} --max-len -1", 2, "--max-len: must be at least 0 (got -1)"),
        ("--model {run} --min-len 7", 2, "max_len is 6, below min_len 7"),
        ("--model {run} --max-len 2000000", 2, "too long to draw; the most is 1,000,000"),
        ("--model {run} --max-new-tokens 0", 2, "--max-new-tokens: must be at least 1 (got 0)"),
        ("--model {run} --failures -1", 2, "--failures: must be at least 0 (got -1)"),
        ("--model {run} --seed -1", 2, "--seed: must be at least 0 (got -1)"),
        ("--model {run} --alphabet=", 2, "--alphabet: give at least one symbol"),
        ("--model {run} --alphabet AA", 2, "'A' more than once"),
        ("--model {run} --lengths 10,x", 2, "--lengths: 'x' is not a length"),
        ("--model {run} --states 3", 2, "--states is for a model that is given a program in the prompt"),
        ("--model {run} --lengths 10 --max-len 5", 2, "--lengths lists the lengths to try; leave out"),
        ("--model {run} --rule doubel_a", 2, "doubel_a"),
        ("--model {run} --device gpu", 2, "--device: must be auto, cpu, mps, cuda or cuda:N (got 'gpu')"),
        ("--model {run} --data=", 2, "--data: name a file"),
        ("--model {run} --data x --rule copy", 2, "--rule is for drawing samples, and --data reads them"),
        ("--model {run} --data x --lengths", 2, "--lengths is for drawing samples, and --data reads them"),
        ("--model {run} --data {tmp}/missing", 1, "missing"),
        ("--model {run} --data {tmp}/empty", 2, "has no data lines"),
        ("--model {run} --data {tmp}/bad", 2, "bad"),
    ],
)
def test_eval_refuses(ahx: Ahx, folder: Path, tmp_path: Path, options: str, code: int, sentence: str) -> None:
    (tmp_path / "empty").write_text("# nothing\n\n")
    (tmp_path / "bad").write_text("A,AA\nno comma\n")
    found, out, err = ahx("eval", *options.format(run=folder, tmp=tmp_path).split())
    assert (found, out) == (code, "")
    assert sentence in err
    assert err.startswith("ahx: error: ")
    assert "Traceback" not in err


def without_rule(folder: Path, place: Path) -> Path:
    """The run as if it had been trained on a file."""
    shutil.copytree(folder, place / "on-a-file")
    path = place / "on-a-file" / "config.json"
    config = json.loads(path.read_text())
    config["rule"] = None
    config["hyperparameters"] |= {"rule": None, "infile": "gone"}
    config["teacher"] = {"kind": "plain"}
    config["sha256"]["config.json"] = checkpoint.digest(config)
    path.write_text(json.dumps(config))
    return path.parent


def test_a_rule_that_cannot_be_read_any_more(
    ahx: Ahx, conversation: Callable[..., list[str]], learned_folder: Path, tmp_path: Path
) -> None:
    run = without_rule(learned_folder, tmp_path)
    config = json.loads((run / "config.json").read_text())
    config["rule"] = config["hyperparameters"]["rule"] = "moved_away:function"
    config["sha256"]["config.json"] = checkpoint.digest(config)
    (run / "config.json").write_text(json.dumps(config))
    code, _, err = ahx("eval", "--model", run, "--trust-rule", "moved_away:function")
    assert code == 2
    assert "cannot import 'moved_away'" in err
    assert "check its name, and that it is in the current folder or installed" in err
    greeting = "learnt a rule that is not read here: the model names the Python function moved_away:function as its "
    assert conversation(run, greeting=greeting) == [""]


def test_a_model_that_knows_no_rule(
    ahx: Ahx, learned_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = without_rule(learned_folder, tmp_path)
    code, _, err = ahx("eval", "--model", run)
    assert code == 2
    assert "its rule is not known; say what to evaluate it on: --data FILE or --rule RULE" in err
    code, _, err = ahx("eval", "--model", run, "--rule", "copy")
    assert code == 2
    assert "its training length is not known" in err
    assert ahx("eval", "--model", run, "--rule", "copy", "--max-len", 4, "--num-samples", 5)[0] == 0


# ahx interactive


@pytest.fixture
def typed(ahx: Ahx, monkeypatch: pytest.MonkeyPatch) -> Ahx:
    """Runs `ahx interactive` with text on its standard input."""

    def run(text: str, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape")), encoding="utf-8")
        )
        return ahx("interactive", *words)

    return run


def test_a_pipe_gets_the_answers_only(typed: Ahx, folder: Path) -> None:
    assert typed("ABA\n", "--model", folder) == (0, "AAAA\n", "")
    assert typed("\ufeffCAC\r\nB\n\nA", "--model_file", folder) == (0, "CAAC\n\n\nAA\n", "")
    assert typed("", "--model", folder) == (0, "", "")


def test_a_pipe_with_lines_that_have_no_answer(typed: Ahx, folder: Path) -> None:
    code, out, err = typed("A\nAXA\nC\n\udcff\n", "--model", folder)
    assert (code, out) == (1, "AA\nC\n")
    first, second = err.splitlines()
    assert first.startswith("ahx: error: line 2: the symbol 'X' in 'AXA' is outside the alphabet 'ABC'")
    assert second.startswith("ahx: error: line 4: the symbol '\\udcff'")


def test_an_answer_that_does_not_end(typed: Ahx, folder: Path) -> None:
    code, out, err = typed("AAA\n", "--model", folder, "--max-new-tokens", 3)
    assert (code, out) == (1, "")
    assert "did not end its answer to 'AAA' within 3 tokens (it begins 'AAA'); allow more with --max-new-tokens" in err


def test_an_input_longer_than_learned_positions_allow(typed: Ahx, learned_folder: Path) -> None:
    code, out, err = typed("A" * 300, "--model", learned_folder)
    assert (code, out) == (1, "")
    assert "has 300 symbols, but the model has positions for" in err
    assert "use a shorter string, or train with a larger block_size" in err
    room = json.loads((learned_folder / "config.json").read_text())["architecture"]["block_size"]
    code, out, err = typed("A" * (room - 3), "--model", learned_folder)  # with < and >, one token is left
    assert (code, out) == (1, "")
    assert "within 1 tokens" in err
    assert "the model has no positions beyond (block_size); use a shorter string" in err


def test_temperature_is_random_but_repeatable(typed: Ahx, folder: Path) -> None:
    words = ["--model", folder, "--temperature", 3, "--max-new-tokens", 12]
    one, again, other = (typed("ACAC\n" * 8, *words, "--seed", seed) for seed in (1, 1, 2))
    assert one == again != other
    assert typed("ACAC\n", "--model", folder, "--temperature", 0.01) == (0, "AACAAC\n", "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--temperature 1", "which model? Name a run's folder: --model runs/double_a"),
        ("--model x --temperature -1", "--temperature: must be from 0 to 1000 (got -1)"),
        ("--model x --temperature nan", "--temperature: must be from 0 to 1000 (got nan)"),
        ("--model x --max-new-tokens 0", "--max-new-tokens: must be at least 1 (got 0)"),
        ("--model x --seed -1", "--seed: must be from 0 to 2^63 - 1 (got -1)"),
    ],
)
def test_interactive_refuses(typed: Ahx, options: str, sentence: str) -> None:
    assert typed("A\n", *options.split()) == (2, "", f"ahx: error: {sentence}\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def conversation(ahx: Ahx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Types lines (or presses keys) at a terminal; gives what is printed, a line each, without the greeting."""

    def run(model: Path, *lines: str | type[BaseException], greeting: str = "Type a string over") -> list[str]:
        typing = iter(lines)

        def read(prompt: str = "") -> str:
            line = next(typing, EOFError)
            if isinstance(line, str):
                return line
            raise line

        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr(builtins, "input", read)
        code, out, err = ahx("interactive", "--model", model)
        assert (code, err) == (0, "")
        assert list(typing) == []
        first, *rest = out.splitlines()
        assert greeting in first
        return rest

    return run


def test_a_conversation(conversation: Callable[..., list[str]], folder: Path, tmp_path: Path) -> None:
    said = conversation(folder, "ABA", "", KeyboardInterrupt, "AX", "B", "quit")
    assert said[:2] == ["AAAA  right", ""]
    assert said[2].startswith("the symbol 'X' in 'AX' is outside the alphabet 'ABC'")
    assert said[3:] == ["  right"]
    assert (tmp_path / "state" / "ahx" / "history").exists()


def test_several_answers_with_probabilities(conversation: Callable[..., list[str]], folder: Path) -> None:
    said = conversation(folder, "A", ":n 3", "A", ":n 0", ":help")
    assert said[:2] == ["AA  right", "AA  right"]
    best = [line.split("%  ") for line in said[2:5]]
    assert best[0][1] == "AA"
    assert float(best[0][0]) > float(best[1][0]) >= float(best[2][0])
    assert said[5] == "':n 0' is neither an input nor a command; :help lists the commands"
    assert said[6].startswith(":n N   list the N most probable answers")


def test_a_wrong_answer_is_marked(conversation: Callable[..., list[str]], learned_folder: Path) -> None:
    said = conversation(learned_folder, *("A", "C", "CA", "ACAC", "CACA", "CCCC", "AAAA"))
    assert any(line.endswith("  right") for line in said)
    wrong = [line for line in said if "  wrong, symbol" in line]
    assert wrong
    assert all("; the rule gives " in line for line in wrong)


def test_colour() -> None:
    assert marked(Rewriting("A", "A"), True) == "A  \x1b[32mright\x1b[0m"
    assert marked(Rewriting("A", ""), True).startswith("A  \x1b[31mwrong, symbol 1 should not be there")
    assert marked(Rewriting("A", "AB"), False) == "A  wrong, symbol 2 and what follows is missing; the rule gives AB"
    assert marked(Rewriting("A", None), True) == "A"


def test_a_history_that_cannot_be_written_is_no_error(
    conversation: Callable[..., list[str]], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    assert conversation(folder, "A") == ["AA  right", ""]
