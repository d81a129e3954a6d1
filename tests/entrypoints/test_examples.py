"""The examples that usage shows, and those of README.md and docs/turing.md, run as printed."""

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aws_here
import pytest

from entrypoints.main import EXAMPLES, VERBS, main, verb_module

ROOT = Path(__file__).resolve().parents[2]
PREPARED = [
    "ahx gen-data --rule double_a --num-samples 2000 --max-len 12 data/da",
    "ahx train --rule double_a --num-epochs 1 --model-out runs/demo",
    "grep -v ^# data/da_val.txt | cut -d , -f 1 > inputs.txt",
    "ahx train --rule bb4 --certify --model-out runs/bb4",
    "ahx sweep --name s1 --on process --rule double_a --max-steps 20 --grid n_layer=1,2",
    "ahx train --rule turing-interpreter --max-steps 2 --epoch-size 32 --val-samples 8 --model-out runs/ti",
    "ahx train --rule markov-interpreter --max-steps 2 --epoch-size 32 --val-samples 8 --model-out runs/mi",
    "ahx train --rule substitution-interpreter --max-steps 2 --epoch-size 32 --val-samples 8 --model-out runs/si",
]


def run(line: str) -> str:
    """Run one line of shell; in this process where it is a plain command, which spares the start of Python."""
    words = shlex.split(line, comments=True)
    if words[0] == "ahx" and not {"|", ">"} & set(words):
        # What a model writes that has hardly been trained is wrong.
        assert main(words[1:]) in ((0, 1) if words[1] == "interpret" else (0,)), line
        return ""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def cloud() -> Iterator[None]:
    """`ahx` is on the PATH, and whatever an example says to AWS, it says to this machine."""
    with aws_here.serving() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        for name, value in aws_here.settings(address).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in PREPARED:
            run(line)
    finally:
        os.chdir(before)
    return folder


ELSEWHERE = {"push", "play"}  # needs Docker: tests/infra/test_push.py; serves until it is stopped: tests/play
SOMETHING_TO_DO = 2  # the exit code of `ahx infra plan` on an empty account


@pytest.mark.parametrize("verb", [None, *(verb for verb in VERBS if verb not in ELSEWHERE)])
def test_every_example_of_the_usage_runs(verb: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO("ABA\n"))  # what a person would type
    for line in EXAMPLES if verb is None else verb_module(verb).EXAMPLES:
        run(line)


@pytest.mark.parametrize("page", ["README.md", "docs/turing.md"])
def test_the_commands_of_the_documentation_run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if re.search(r"(^|\| )ahx ", line)]
    assert len(lines) >= 8
    for line in lines:
        if re.match("ahx train --rule .*-interpreter", line):  # minutes; `folder` has trained a little
            continue
        if line.startswith("ahx infra plan"):
            assert main(["infra", "plan"]) == SOMETHING_TO_DO
        elif line.split()[1] not in ELSEWHERE:
            run(re.sub("^ahx infra (apply|destroy)", r"ahx infra \1 --yes", line))  # there is no terminal


def test_the_answers_that_the_readme_promises(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    readme = (ROOT / "README.md").read_text("utf-8")
    promised = re.findall(r"^(ahx rules apply .*?) +# (\S+)$", readme, flags=re.MULTILINE)
    assert promised
    for line, answer in promised:
        assert run(f"{line} | cat").strip() == answer


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == [], page


def test_one_job_from_an_empty_account_to_an_empty_account(tmp_path: Path) -> None:
    nowhere = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "one_job.py"],
        cwd=tmp_path,
        env=nowhere | {"AHX_IMAGE": "none:none"},  # a process, which spares Docker's push of 800 MB
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"exact = 1", "left: nothing"} <= set(done.stdout.splitlines())
