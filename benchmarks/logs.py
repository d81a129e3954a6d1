"""What keeping and delivering a log costs training, and what is left of the log when delivery fails.

    python benchmarks/logs.py [--rounds 3] [--cases NAME ...] [--json FILE]

Each case is `ahx train`'s own training, in a process of its own, with its log delivered to a server that does what
CloudWatch Logs does (moto) through a proxy that fails. Every case takes turns with the same training without a log; the
ratios are medians over the rounds, of the CPU time of the process (the import of boto3 and all threads included) and of
wall time, both from before the log is opened to the end of training. `closing` is how long the end of the process then
had to wait for the log. Lines are those that the process printed, those in its file, and those that the server holds.
"""

import argparse
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from faulty_proxy import Answer, Fault, proxy, refusal  # type: ignore[import-not-found]

GROUP = "/ahx/benchmark"
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "OMP_NUM_THREADS": "1",
}
PROGRAM = """
import json, os, sys, time
from run_logs.run_log import open_log
def measured():
    return time.perf_counter(), time.process_time()
began = measured()
with open_log(os.environ, "train"):
    from ahx.training.hyperparameters import Hyperparameters
    from ahx.training.run import train
    {before}
    code = train(Hyperparameters(rule="double_a", num_epochs={epochs}, eval_interval=0.1, val_samples=100))
    trained = measured()
    {after}
ended = measured()
with open("times.json", "w") as file:
    json.dump([trained[0] - began[0], trained[1] - began[1], ended[0] - trained[0]], file)
sys.exit(code)
"""
FORKS = """
    for worker in range(4):
        if os.fork() == 0:
            for i in range(100): print("worker", worker, i)
            os._exit(0)
        os.wait()
"""


def at(operation: str, fault: Answer | float, times: float = float("inf")) -> Fault:
    """`fault` for the first calls of `operation`."""
    return lambda called, before, body: fault if called == operation and before < times else None


@dataclass(frozen=True)
class Case:
    fault: Fault = lambda operation, before, body: None
    before: str = ""
    after: str = ""
    url: str | None = None
    on_start: Callable[[subprocess.Popen[str]], None] | None = None


def stop_after_fifty_lines(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)


CASES = {
    "all is well": Case(),
    "20,000 lines at once": Case(before="for i in range(20_000): print('line', i)"),
    "SIGTERM": Case(on_start=stop_after_fifty_lines),
    "os._exit": Case(after="os._exit(7)"),
    "forked workers": Case(before=FORKS),
    "no server": Case(url="http://127.0.0.1:1"),
    "may not make the group": Case(at("CreateLogGroup", refusal(400, "AccessDeniedException"))),
    "never answers": Case(lambda operation, before, body: float("inf")),
    "answers after 3 s": Case(lambda operation, before, body: 3.0),
    "may not write": Case(at("PutLogEvents", refusal(400, "AccessDeniedException"))),
    "503 three times": Case(at("PutLogEvents", refusal(503, "ServiceUnavailableException"), 3)),
    "503 always": Case(at("PutLogEvents", refusal(503, "ServiceUnavailableException"))),
    "NaN": Case(before="print({'loss': float('nan')}); print('train_loss=nan;')"),
    "a line of 600 KB": Case(before="print('é' * 300_000)"),
}


@dataclass(frozen=True)
class Run:
    """How a run ended: exit code, lines printed, lines in the file (None without one), seconds, and the last line."""

    code: int
    printed: int
    kept: int | None
    wall: float
    cpu: float
    closing: float
    conclusion: str


def run(case: Case, epochs: int, log_to: str | None, stream: str) -> Run:
    """Train once, with a log that is delivered to `log_to`, or without any (None)."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AHX_", "AWS_"))} | ENVIRON
    if log_to is not None:
        environ |= {"AWS_ENDPOINT_URL": log_to, "AHX_LOG_GROUP": GROUP, "AHX_LOG_STREAM": stream, "AHX_LOG_FILE": "log"}
    program = PROGRAM.format(epochs=epochs, before=case.before.strip(), after=case.after)
    with tempfile.TemporaryDirectory() as folder:
        outputs: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", program], cwd=folder, env=environ, **outputs) as process:
            read = 0
            if case.on_start is not None:
                case.on_start(process)
                read = 50
            stdout, stderr = process.communicate(timeout=600)
        log, times = Path(folder, "log"), Path(folder, "times.json")
        errors = stderr.splitlines()
        conclusion = errors.pop() if errors and errors[-1].startswith("logs: ") else ""
        wall, cpu, closing = json.loads(times.read_text(encoding="utf-8")) if times.exists() else (float("nan"),) * 3
        return Run(
            code=process.returncode,
            printed=read + len(stdout.splitlines()) + len(errors),
            kept=len([json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])
            if log.exists()
            else None,
            wall=wall,
            cpu=cpu,
            closing=closing,
            conclusion=conclusion,
        )


def stored(client: object, stream: str) -> int:
    """Lines in the stream; the parts of a long one count as one."""
    count, token = 0, dict[str, str]()
    while True:
        try:
            page = client.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token)  # type: ignore[attr-defined]
        except client.exceptions.ResourceNotFoundException:  # type: ignore[attr-defined]
            return 0
        if not page["events"]:
            return count
        count += sum(
            not event["message"].startswith("é") or len(event["message"]) < 125_000 for event in page["events"]
        )
        token = {"nextToken": page["nextForwardToken"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="of 50 steps; an epoch prints 40 lines")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ |= ENVIRON
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    address = "http://{}:{}".format(*moto.get_host_and_port())
    client = boto3.client("logs", endpoint_url=address)
    client.create_log_group(logGroupName=GROUP)
    print(f"{'':24}{'printed':>8}{'in file':>8}{'delivered':>10}{'exit':>6}{'cpu':>7}{'wall':>7}{'closing s':>11}")
    rows = []
    for number, name in enumerate(options.cases):
        case, pairs = CASES[name], []
        for turn in range(options.rounds):
            stream = f"{number}-{turn}"
            with proxy(address) as standing:
                standing.fault = case.fault
                logged = run(case, options.epochs, case.url or standing.url, stream)
            pairs.append((run(case, options.epochs, None, stream), logged, stored(client, stream)))
        _, last, delivered = pairs[-1]
        cpu, wall = (
            statistics.median(getattr(logged, what) / getattr(bare, what) for bare, logged, _ in pairs)
            for what in ("cpu", "wall")
        )
        closing = max(logged.closing for _, logged, _ in pairs)
        print(
            f"{name:24}{last.printed:>8,}{last.kept or 0:>8,}{delivered:>10,}{last.code:>6}{cpu:>7.2f}{wall:>7.2f}"
            f"{closing:>11.2f}  {last.conclusion or '(it could not say)'}",
            flush=True,
        )
        same_code = all(bare.code == logged.code for bare, logged, _ in pairs)
        rows.append({"case": name, **last.__dict__, "delivered": delivered, "cpu_ratio": cpu, "wall_ratio": wall,
                     "longest_closing": closing, "exit_as_without_log": same_code})  # fmt: skip
    moto.stop()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
