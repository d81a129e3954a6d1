"""Logs against a server that does what CloudWatch Logs does (moto), behind a proxy that fails in all usual ways.

Each test runs a small program in a process of its own: what it printed must be whole in its file, and it must end as it
would have without any log.
"""

import json
import logging
import re
import signal
import sys
import time

import boto3
import pytest
from faulty_proxy import Answer, answer, proxy, refusal
from log_site import AWS, GROUP, STREAM, Ended, Site, program
from moto.server import ThreadedMotoServer

from ahx.errors import AhxError
from ahx.text.printing import raw
from opt_ml.failure import reason
from opt_ml.tree import build
from run_logs.run_log import open_log


@pytest.fixture(scope="module")
def moto():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def site(tmp_path, moto, monkeypatch):
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("logs", endpoint_url=moto, region_name=AWS["AWS_REGION"])
    with proxy(moto) as standing:
        yield Site(tmp_path, standing, client)
    for group in client.describe_log_groups()["logGroups"]:
        client.delete_log_group(logGroupName=group["logGroupName"])
    client.close()


def test_everything_printed_is_kept_and_delivered(site):
    ended = site.run("""
print("a line"); print("an error", file=sys.stderr); print()
sys.stdout.write("in "); sys.stdout.write("parts, ünd mehr\\nand without an end")
import threading; t = threading.Thread(target=int, args=("x",)); t.start(); t.join()
import warnings; warnings.simplefilter("always"); warnings.warn("careful", stacklevel=1)
""")
    assert ended.code == 0
    assert [e["message"] for e in ended.events if e["source"] == "stdout"] == [
        "a line", "", "in parts, ünd mehr", "and without an end",
    ]  # fmt: skip
    errors = [e["message"] for e in ended.events if e["source"] == "stderr"]
    assert errors[0] == "an error"
    assert "ValueError: invalid literal for int() with base 10: 'x'" in errors
    assert any("UserWarning: careful" in line for line in errors)
    assert sorted(site.delivered()) == sorted(line or " " for line in ended.lines)
    n = len(ended.lines)
    assert ended.conclusion == f"logs: delivered {n}/{n} lines to {GROUP}/{STREAM}"
    assert (ended.stdout + "\n").splitlines() == ["a line", "", "in parts, ünd mehr", "and without an end"]


def test_a_flood_of_lines_that_begins_before_the_stream_is_there(site):
    site.proxy.fault = lambda operation, before, body: 0.5 if operation == "CreateLogStream" else None
    ended = site.run("for i in range(20_000): print('line', i)")
    assert ended.lines == [f"line {i}" for i in range(20_000)]
    assert site.delivered() == ended.lines
    assert ended.conclusion == f"logs: delivered 20000/20000 lines to {GROUP}/{STREAM}"


def test_sigterm_that_nobody_handles(site):
    body = "for i in range(1000): print('line', i)\nprint('ready', flush=True)\nimport time; time.sleep(60)"
    started = site.start(program(body))
    assert started.stdout is not None
    stdout = ""
    while "ready" not in stdout:
        stdout += started.stdout.readline()
    started.terminate()
    ended = site.end(started)
    assert ended.code == -signal.SIGTERM
    assert site.delivered() == ended.lines == [*(f"line {i}" for i in range(1000)), "ready"]
    assert ended.conclusion == f"logs: delivered 1001/1001 lines to {GROUP}/{STREAM}"


@pytest.mark.parametrize("death", ["os._exit(7)", "os.kill(os.getpid(), 9)"])
def test_a_death_without_any_clean_up_leaves_the_file_whole(site, death):
    ended = site.run(f"for i in range(1000): print('line', i)\n{death}")
    assert ended.code == (7 if "exit" in death else -signal.SIGKILL)
    assert ended.lines == [f"line {i}" for i in range(1000)]


def test_what_forked_processes_print_is_delivered_once(site):
    ended = site.run("""
import warnings; warnings.simplefilter("ignore")
for worker in range(3):
    if os.fork() == 0:
        print("worker", worker); sys.exit()
    os.wait()
print("parent", flush=True)
""")
    assert ended.code == 0
    assert sorted(ended.lines) == ["parent", "worker 0", "worker 1", "worker 2"]
    assert sorted(site.delivered()) == sorted(ended.lines)
    assert ended.stderr == f"logs: delivered 4/4 lines to {GROUP}/{STREAM}\n"


def test_processes_of_a_group_share_the_log_and_others_stay_out(site):
    ended = site.run("""
import subprocess
child = "import os\\nfrom run_logs.run_log import *\\nwith open_log(os.environ, 'x'): print('child')"
for rank in ({"RANK": "1"}, {}):
    subprocess.run([sys.executable, "-c", child], env=os.environ | rank, check=True)
""")
    assert ended.lines == ["child"]
    assert site.delivered() == ["child"]
    assert ended.stderr == f"logs: delivered 1/1 lines to {GROUP}/{STREAM}\n"


def test_nobody_listens(site):
    ended = site.run("print('x')", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert (ended.code, ended.lines) == (0, ["x"])
    assert ended.conclusion == (
        f'logs: delivered 0/1 lines to {GROUP}/{STREAM}: Could not connect to the endpoint URL: "http://127.0.0.1:1/"; '
        "all of them are in logs/one.jsonl"
    )


@pytest.mark.parametrize("operation", ["CreateLogGroup", "PutLogEvents"])
def test_nobody_ever_answers(site, operation):
    site.proxy.fault = lambda called, before, body: float("inf") if called == operation else None
    ended = site.run("print('x')")
    assert (ended.code, ended.lines) == (0, ["x"])
    assert "logs: delivered 0/1 lines" in ended.conclusion


def test_an_answer_that_comes_too_late_does_not_count(site):
    site.proxy.fault = lambda operation, before, body: 20.0 if b"late" in body else None
    ended = site.run("import time\nprint('x', flush=True)\ntime.sleep(2)\nprint('late')")
    assert (ended.code, ended.lines) == (0, ["x", "late"])
    assert re.search(r"delivered [01]/2 lines to \S+: \S.*; all of them are in", ended.conclusion)


def test_the_group_may_not_be_made_but_is_there(site):
    site.client.create_log_group(logGroupName=GROUP)
    site.proxy.fault = lambda operation, before, body: (
        refusal(400, "AccessDeniedException") if operation == "CreateLogGroup" else None
    )
    ended = site.run("print('x')")
    assert ended.code == 0
    assert site.delivered() == ["x"]


def test_writing_is_denied(site):
    site.proxy.fault = lambda operation, before, body: (
        refusal(400, "AccessDeniedException") if operation == "PutLogEvents" else None
    )
    ended = site.run("print('x')")
    assert (ended.code, ended.lines) == (0, ["x"])
    assert ended.conclusion == (
        f"logs: delivered 0/1 lines to {GROUP}/{STREAM}: permission denied; allow logs:PutLogEvents on the log group; "
        "all of them are in logs/one.jsonl"
    )


@pytest.mark.parametrize(
    "fault",
    [
        refusal(503, "ServiceUnavailableException"),
        refusal(500, "InternalFailure"),
        refusal(400, "ThrottlingException"),
        Answer(200, "<html>Welcome to the hotel's network</html>", {"Content-Type": "text/html"}),
    ],
    ids=["unavailable", "broken", "throttled", "not CloudWatch"],
)
def test_failures_that_pass_lose_nothing(site, fault):
    site.proxy.fault = lambda operation, before, body: fault if operation == "PutLogEvents" and before < 2 else None
    ended = site.run("import time\nfor i in range(1000): print('line', i)\ntime.sleep(1.2)\nprint('last')")
    assert ended.code == 0
    assert site.delivered() == ended.lines
    assert len(ended.lines) == 1001
    assert ended.conclusion == f"logs: delivered 1001/1001 lines to {GROUP}/{STREAM}"


def test_a_stream_that_is_deleted_meanwhile_is_made_again(site):
    site.proxy.fault = lambda operation, before, body: (
        refusal(400, "ResourceNotFoundException") if operation == "PutLogEvents" and before == 0 else None
    )
    ended = site.run("print('x')")
    assert ended.conclusion == f"logs: delivered 1/1 lines to {GROUP}/{STREAM}"
    assert site.proxy.calls["CreateLogStream"] == 2


def test_one_refused_line_does_not_hold_up_the_others(site):
    site.proxy.fault = lambda operation, before, body: (
        refusal(400, "InvalidParameterException", "bad line") if b"poison" in body else None
    )
    ended = site.run("for i in range(100): print('poison' if i == 37 else i)")
    assert site.delivered() == [str(i) for i in range(100) if i != 37]
    assert ended.conclusion == (
        f"logs: delivered 99/100 lines to {GROUP}/{STREAM}: bad line; all of them are in logs/one.jsonl"
    )


def test_lines_that_cloudwatch_finds_too_old_are_not_called_delivered(site):
    told = answer(rejectedLogEventsInfo={"tooOldLogEventEndIndex": 1})
    site.proxy.fault = lambda operation, before, body: told if operation == "PutLogEvents" else None
    ended = site.run("print('x'); print('y')")
    assert ended.conclusion.startswith(f"logs: delivered 1/2 lines to {GROUP}/{STREAM}: CloudWatch finds them too old")


def test_nan_and_very_long_lines(site):
    long = "é" * 300_000  # 600,000 bytes
    ended = site.run("print(f'train_loss={float(\"nan\")};'); print({'x': float('inf')}); print('é' * 300_000)")
    assert ended.lines == ["train_loss=nan;", "{'x': inf}", long]
    first, second, *parts = site.delivered()
    assert [first, second] == ended.lines[:2]
    assert "".join(parts) == long
    assert max(len(part.encode()) for part in parts) <= 256 * 1024
    assert ended.conclusion == f"logs: delivered 3/3 lines to {GROUP}/{STREAM}"


def test_an_exception_is_in_the_log(site):
    ended = site.run("raise RuntimeError('a bug')")
    assert ended.code == 1
    assert ended.lines[0] == "Traceback (most recent call last):"
    assert ended.lines[-1] == "RuntimeError: a bug"
    assert site.delivered() == ended.lines


def test_a_full_disk_stops_nobody(site):
    ended = site.run("""
import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for i in range(100): print('line', i)
""")
    assert ended.code == 0
    assert ended.stdout.splitlines() == [f"line {i}" for i in range(100)]
    assert re.search(r"; \d+ more could not be written \(File too large\)$", ended.conclusion)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"AHX_LOG_GROUP": "my logs"}, "AHX_LOG_GROUP: 'my logs' is not a log group's name"),
        ({"AHX_LOG_GROUP": "g", "AHX_LOG_STREAM": "a:b"}, "AHX_LOG_STREAM: 'a:b' is not a log stream's name"),
        ({"AHX_LOG_FILE": "/dev/null/log"}, "cannot write the log /dev/null/log: "),
    ],
)
def test_what_a_log_cannot_be(environ, sentence):
    with pytest.raises(AhxError, match=re.escape(sentence)):
        open_log(environ, "train")


def test_a_batch_is_due_however_the_clock_is_set_meanwhile(site):
    started = site.start(program("""
import itertools, time
clock = itertools.count(time.time(), -3600)
time.time = lambda: next(clock)
print("a line", flush=True)
time.sleep(60)
"""))  # fmt: skip
    until = time.monotonic() + 30
    while not site.proxy.calls["PutLogEvents"] and time.monotonic() < until:
        time.sleep(0.1)
    assert site.proxy.calls["PutLogEvents"] == 1
    started.terminate()
    assert site.end(started).lines == site.delivered() == ["a line"]


def test_inside_sagemaker_it_is_off(tmp_path):
    environ = {"AHX_LOG_GROUP": "g", "AHX_LOG_FILE": str(tmp_path / "log"), "TRAINING_JOB_ARN": "arn:aws:sagemaker:..."}
    with open_log(environ, "train"):
        print("x")
    assert not (tmp_path / "log").exists()


def test_a_line_is_kept_as_a_terminal_would_show_it(tmp_path, capsys):
    with open_log({"AHX_LOG_FILE": str(tmp_path / "log")}, "train"):
        for text in ("\r\x1b[2Kstep 1", "\r\x1b[2Kstep 2", "\r\x1b[2K", "\x1b[31mred\x1b[0m\r\n", "1 %\r2 %\n", "\n"):
            raw(sys.stdout).write(text)  # as a progress line does
    lines = [json.loads(line)["message"] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines == ["red", "2 %", ""]
    assert capsys.readouterr().err == f"logs: 3 lines in {tmp_path / 'log'}\n"


def test_training_is_kept(site):
    train = "import sys; from entrypoints.main import main; sys.exit(main(sys.argv[1:]))"
    options = ["--rule", "double_a", "--num-epochs", "1", "--val-samples", "9"]
    ended = site.end(site.start(train, "train", *options, OMP_NUM_THREADS="1"))
    assert ended.code == 0, ended.stderr
    assert ended.lines == ended.stdout.splitlines()
    assert ended.lines[-1].startswith("stopped after 50 steps")
    assert site.delivered() == ended.lines


def test_a_training_job_is_kept_beside_its_outputs(site):
    tree = build(site.folder / "ml", {"rule": "double_a", "num_epochs": "1", "val_samples": "9"}, {})
    job = "import sys; from entrypoints.container import train; sys.exit(train(with_toolkit=False))"
    started = site.start(
        job, SAGEMAKER_BASE_DIR=str(tree.base), OMP_NUM_THREADS="1", AHX_LOG_STREAM="", TRAINING_JOB_NAME="job-1"
    )
    with started:
        stdout, stderr = started.communicate(timeout=60)
    ended = Ended(started.returncode, stdout, stderr, tree.output_data / "log.jsonl")
    assert ended.code == 0, ended.stderr
    assert [event["message"] for event in ended.events if event["source"] == "stdout"] == ended.stdout.splitlines()
    n = len(ended.lines)
    assert ended.conclusion == f"logs: delivered {n}/{n} lines to {GROUP}/job-1"


def test_a_training_job_whose_log_cannot_be_written_says_so_in_its_failure_file(site):
    tree = build(site.folder / "ml", {"rule": "double_a"}, {})
    job = "import sys; from entrypoints.container import train; sys.exit(train(with_toolkit=False))"
    with site.start(job, SAGEMAKER_BASE_DIR=str(tree.base), AHX_LOG_FILE="/dev/null/log") as started:
        _, stderr = started.communicate(timeout=60)
    assert started.returncode == 1
    assert reason(tree).startswith("cannot write the log /dev/null/log: ")
    assert stderr == f"ahx: error: {reason(tree)}\n"
