"""`kill -9` of `ahx aws`: programs of its jobs end too, whatever they are and whatever they have started."""

import os
import signal
import sys
from pathlib import Path

import pytest
from aws_process import create_job, serving, until

from infra.run_local.runner import ProcessRunner
from opt_ml import tree as trees

# Writes its number, and that of a process in a session of its own, to a file; it is deaf to SIGTERM.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1] + ".part", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
if sys.argv[2:] == ["leave"]:
    sys.exit(0)
time.sleep(600)
"""
OBEDIENT = """
import os, pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1] + ".said").write_text("goodbye")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""


def program(folder: Path, source: str) -> list[str]:
    (folder / "program.py").write_text(source, "utf-8")
    return [sys.executable, str(folder / "program.py"), str(folder / "pids")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(file: Path) -> list[int]:
    until(file.exists)
    return [int(pid) for pid in file.read_text("utf-8").split()]


def test_a_program_deaf_to_signals_and_what_it_started_end_with_the_server(tmp_path: Path) -> None:
    with serving("--process", "--state", str(tmp_path / "state")) as server:
        create_job(server, "stubborn", program(tmp_path, STUBBORN))
        pids = started(tmp_path / "pids")
        assert all(map(alive, pids))
        server.end()
        until(lambda: not any(map(alive, pids)))


def test_a_program_may_say_goodbye_first(tmp_path: Path) -> None:
    with serving("--process") as server:
        create_job(server, "obedient", program(tmp_path, OBEDIENT))
        pids = started(tmp_path / "pids")
        server.end()
        until(lambda: not any(map(alive, pids)))
    assert (tmp_path / "pids.said").read_text("utf-8") == "goodbye"


def test_what_a_program_leaves_behind_ends_with_the_job(tmp_path: Path) -> None:
    with serving("--process") as server:
        create_job(server, "leaving", [*program(tmp_path, STUBBORN), "leave"])
        pids = started(tmp_path / "pids")
        describe = server("sagemaker").describe_training_job
        until(lambda: describe(TrainingJobName="leaving")["TrainingJobStatus"] == "Completed")
        until(lambda: not any(map(alive, pids)))


def children(pid: int) -> list[int]:
    """Of all its threads."""
    return [int(one) for file in Path(f"/proc/{pid}/task").glob("*/children") for one in file.read_text().split()]


def test_what_outlives_its_guard_too_ends_with_the_next_start(tmp_path: Path) -> None:
    with serving("--process") as server:
        create_job(server, "unguarded", program(tmp_path, STUBBORN))
        pids = started(tmp_path / "pids")
        guards = children(server.process.pid)
        os.kill(server.process.pid, signal.SIGSTOP)  # that it does not see to it itself
        assert guards
        for guard in guards:
            os.kill(guard, signal.SIGKILL)
        server.end()
    assert alive(pids[1])
    with serving("--process"):
        until(lambda: not any(map(alive, pids)))


def test_what_a_program_leaves_behind_is_no_zombie(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "for n in 1 2 3 4 5; do (sleep 0.1 &) ; done; sleep 1; echo up; sleep 600"]
    job = ProcessRunner(command).start(trees.build(tmp_path / "job", {}, {}))
    try:
        assert next(iter(job.lines())) == "up"
        until(lambda: len(children(job.pid)) == 1)
    finally:
        assert job.kill() == 128 + signal.SIGKILL


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PATH", "LD_LIBRARY_PATH"])
def test_the_environment_of_a_job_steers_nothing_but_its_program(tmp_path: Path, variable: str) -> None:
    with serving("--process") as server:
        command = ["/bin/sh", "-c", f'test "${variable}" = /nowhere']
        create_job(server, "steering", command, Environment={variable: "/nowhere"})
        describe = server("sagemaker").describe_training_job
        until(lambda: describe(TrainingJobName="steering")["TrainingJobStatus"] in ("Completed", "Failed"))
        job = describe(TrainingJobName="steering")
        assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
        assert os.environ.get(variable) != "/nowhere"
