import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ahx.errors import CheckpointError, InputError, StorageError
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.lock import FolderLock
from entrypoints import main as cli

Verb = Callable[[Callable[..., int]], None]


def raising(error: BaseException) -> Callable[..., int]:
    def run(args: object) -> int:
        raise error

    return run


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device", "runs/x")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (InputError("mend it"), 2, "mend it"),
        (StorageError("mend it"), 1, "mend it"),
        (CheckpointError("mend it"), 1, "mend it"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "memory ran out; use a smaller model, smaller batches or shorter strings"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            1,
            "memory ran out; use a smaller model, smaller batches or shorter strings",
        ),
        (full_disk(), 1, "runs/x: the disk is full; free some space and run the command again"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            1,
            "/x: permission denied; choose another place, or change the permissions",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "x"),
            1,
            "x: there is no such file or folder; check the path",
        ),
    ],
)
def test_failures_are_a_sentence_and_an_exit_code(
    error: BaseException, code: int, sentence: str, verb: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(raising(error))
    assert cli.main(["probe", "--name", "x"]) == code
    assert capsys.readouterr().err == f"ahx: error: {sentence}\n"


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), OSError(errno.ENOTTY, "not a typewriter")])
def test_a_bug_shows_its_traceback(error: Exception, verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb(raising(error))
    assert cli.main(["probe", "--name", "x"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("this is a bug in ahx, not in what you typed; please report it with the lines above\n")


def test_a_verbs_exit_code_is_passed_on(verb: Verb) -> None:
    verb(lambda args: 3)
    assert cli.main(["probe", "--name", "x"]) == 3


def test_a_verb_alone_prints_its_usage_and_examples(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb(raising(AssertionError("must not run")))
    assert cli.main(["probe"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: ahx probe")
    assert "Probe things." in printed
    assert "ahx probe --size 3" in printed


def test_help_fits_the_screen(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb(lambda args: 0)
    for line in (["--help"], ["probe", "--help"], ["train", "--help"], ["train"]):
        assert cli.main(line) == 0
        printed = capsys.readouterr().out
        assert "examples:" in printed
        assert max(map(len, printed.splitlines())) <= 100


def test_spellings_of_options_and_values_with_dashes(verb: Verb) -> None:
    seen = []
    verb(lambda args: seen.append(vars(args)) or 0)  # type: ignore[func-returns-value]
    line = ["probe", "a_b-c", "--max_size=-3", "--scale-by", "-1e-3", "--name", "-> A_B"]
    assert cli.main(line) == 0
    assert seen == [{"input": "a_b-c", "max_size": -3, "scale_by": -1e-3, "kind": None, "name": "-> A_B"}]


# ahx train


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (["--n_layer", "4"], "n_layer", 4),
        (["--n-layer", "4"], "n_layer", 4),
        (["--n-layer=4"], "n_layer", 4),
        (["--num_layers", "4"], "n_layer", 4),
        (["--num-layers", "4"], "n_layer", 4),
        (["--n_layer", "4", "--num_layers", "4"], "n_layer", 4),
        (["--embed_sz", "32"], "n_embd", 32),
        (["--compile"], "compile", True),
        (["--compile", "True"], "compile", True),
        (["--compile", "false"], "compile", False),
        (["--compile", "--no-compile"], "compile", False),
        (["--no_compile", "--seed", "5"], "compile", False),
        (["--resume", "--threads", "1"], "resume", True),
        (["--problem", "-> A"], "rule", "-> A"),
        (["--alphabet", "01"], "alphabet", "01"),
        (["--alphabet", "10"], "alphabet", "10"),
        (["--pos", "none"], "pos", "none"),
        (["--max_steps", "none"], "max_steps", None),
    ],
)
def test_what_is_typed_reaches_training(
    options: list[str], name: str, value: object, trained: list[Hyperparameters]
) -> None:
    rule = [] if name == "rule" else ["--rule", "copy"]
    assert cli.main(["train", *rule, *options]) == 0
    assert getattr(trained[0], name) == value


def test_a_folder_in_training_is_refused_before_torch_is_imported(
    trained: list[Hyperparameters], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FolderLock(tmp_path):
        assert cli.main(["train", "--rule", "copy", "--model_out", str(tmp_path), "--resume"]) == 1
    assert trained == []
    assert f"{tmp_path} is being trained into by process {os.getpid()} on" in capsys.readouterr().err


def test_a_sagemaker_container_needs_no_options(
    trained: list[Hyperparameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SM_HP_PROBLEM", "copy")
    assert cli.main(["train"]) == 0
    assert trained == [Hyperparameters(rule="copy")]


def test_the_line_sagemakers_toolkit_types(trained: list[Hyperparameters]) -> None:
    line = "--compile True --n_layer 4 --resume False --rule double_a"
    assert cli.main(["train", *line.split()]) == 0
    assert trained == [Hyperparameters(rule="double_a", n_layer=4, compile=True)]


# In a process of its own


def ahx(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, timeout=60, check=False, **settings)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--version", 0), ("--verison", 2)])
def test_simple_questions_load_no_large_package(option: str, code: int) -> None:
    script = (
        "import sys; from entrypoints.main import main; code = main(sys.argv[1:]); "
        "sys.exit(', '.join({'torch', 'pydantic', 'rich'} & set(sys.modules)) or code)"
    )
    done = ahx("-c", script, option, stdout=subprocess.DEVNULL)
    assert done.returncode == code, done.stderr


def test_a_reader_that_has_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = ahx("-m", "entrypoints.main", "train", "--help", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_symbol_that_the_terminal_lacks_is_written_as_its_number() -> None:
    line = ["-m", "entrypoints.main", "rules", "apply", "A -> \u00e9", "AB"]
    done = ahx(*line, stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xe9B\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_output_onto_a_full_disk() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = ahx("-m", "entrypoints.main", "train", "--help", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "ahx: error: the disk is full; free some space and run the command again\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ahx comp", ["completion"]),
        ("ahx train --opt", ["--optimizer"]),
        ("ahx train --optimizer a", ["adamw"]),
        ("ahx train --rule doub", ["double_a"]),
        ("ahx infra app", ["apply"]),
        ("ahx infra apply --budg", ["--budget"]),
        ("ahx --vers", ["--version"]),
    ],
)
def test_the_shell_completes(typed: str, offered: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == 0
    words = typed.split()
    asked = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _ahx; echo ${{COMPREPLY[@]}}"
    script = f"{capsys.readouterr().out}\n{asked}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered
    assert cli.main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload")


def test_every_exit_code_is_documented() -> None:
    told = " ".join(cli.EXIT_CODES).replace(",", "").split()
    assert {"0", "1", "2", str(cli._INTERRUPTED), str(cli._BROKEN_PIPE), "143"} <= set(told)
