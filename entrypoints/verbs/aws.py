"""Run an AWS on this machine, for development and tests without an account.

S3, IAM, ECR, CloudWatch and others are moto's. SageMaker's training jobs run, as processes or as containers.
docs/embedded-aws.md compares what AWS documents with what this server does.
"""

import argparse
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ahx.errors import InputError
from ahx.text.plural import counted

if TYPE_CHECKING:
    from infra.embedded.server import EmbeddedAws

EXAMPLES = [
    "ahx aws --port 0 --run 'echo $AWS_ENDPOINT_URL'",
    "ahx aws --port 0 --process --quota ml.m5.large=3 --run 'ahx aws faults throttle --operation CreateTrainingJob'",
    "ahx aws --port 0 --state aws --run 'ahx aws faults'",
]

_KINDS = ("throttle", "error", "hang", "slow", "denied")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_SECONDS = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the server, and the actions `faults` and `interrupt` for a running server."""
    parser.add_argument("--port", type=int, default=4566, metavar="N", help="Port to listen on; 0 takes a free one.")
    parser.add_argument("--region", default="us-east-1", help="Region of the printed AWS_REGION.")
    parser.add_argument(
        "--state", type="local", metavar="DIR", help="Keep all state in this folder, and start from the state in it."
    )
    parser.add_argument("--durable", action="store_true", help="With --state: survive a loss of power too.")
    parser.add_argument(
        "--open",
        action="store_true",
        help="Accept unsigned requests: any program of any user of this machine can then run jobs as you. "
        "Web pages of other origins are still refused.",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="Accept web pages of this origin; may be repeated.",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--image", metavar="IMAGE", help="Run all jobs as containers of this image, whichever they name.")
    kind.add_argument("--process", action="store_true", help="Run jobs as processes, even if Docker is available.")
    kind.add_argument(
        "--instant",
        nargs="?",
        type=float,
        const=0.0,
        metavar="SECONDS",
        help="Run nothing: jobs are Completed after SECONDS (default: 0), without logs or artifacts. For load tests.",
    )
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="TYPE=N",
        help="Most instances of a type at once; may be repeated.",
    )
    parser.add_argument(
        "--start-seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="Let each job wait S seconds for its instances, as on SageMaker.",
    )
    parser.add_argument("--run", metavar="COMMAND", help="Run a shell command, then stop and exit with its code.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    faults = actions.add_parser("faults", help="Show, add or clear the faults of the server at AWS_ENDPOINT_URL.")
    faults.add_argument("kind", metavar="KIND", nargs="?", choices=_KINDS, help=f"Kind of fault: {', '.join(_KINDS)}.")
    faults.add_argument("--service", default="*", help="Service by its signing name, such as s3; * is any.")
    faults.add_argument("--operation", default="*", help="Operation, such as CreateTrainingJob or Put*.")
    faults.add_argument("--rate", type=float, default=1.0, metavar="P", help="Share of the calls that fail.")
    faults.add_argument("--count", type=int, metavar="N", help="Remove the fault after N failed calls.")
    faults.add_argument("--seconds", type=float, metavar="S", help="Duration of slow and hang (default: 1 and 300).")
    faults.add_argument("--status", type=int, metavar="N", help="HTTP status of error (default: 500).")
    faults.add_argument("--seed", type=int, metavar="N", help="Seed of the random numbers for --rate (default: 0).")
    faults.add_argument("--clear", action="store_true", help="Remove all faults.")

    interrupt = actions.add_parser("interrupt", help="Interrupt a managed spot training job.")
    interrupt.add_argument("job", metavar="JOB", help="The training job's name.")
    interrupt.add_argument("--seconds", type=float, default=5.0, metavar="S", help="Seconds until capacity is back.")


def runs_without_options() -> bool:
    """Without options it serves."""
    return True


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, or send an action to a server. Returns the exit code."""
    if args.action == "faults":
        return _faults(args)
    if args.action == "interrupt":
        from infra.embedded.remote import post

        post("interrupt", {"TrainingJobName": args.job, "Seconds": args.seconds})
        print(f"{args.job}: its instances are gone; capacity is back in {args.seconds:g} s")
        return 0
    return _serve(args)


def _serve(args: argparse.Namespace) -> int:
    from infra.embedded.sagemaker.execution.runners import choose
    from infra.embedded.server import EmbeddedAws

    if args.durable and args.state is None:
        raise InputError("--durable: needs a folder; add --state DIR")
    runners = choose(args.image, args.process or args.instant is not None)
    aws = EmbeddedAws(
        args.port,
        region=args.region,
        runners=runners,
        quotas=_quotas(args.quota),
        instant=args.instant,
        state=args.state,
        durable=args.durable,
        unlocked=args.open,
        origins=[_origin(origin) for origin in args.allow_origin],
        start_seconds=args.start_seconds,
    )
    how = "run nothing" if args.instant is not None else runners.description
    with aws:
        if args.run:
            _announce(aws, how, args.open)
            return _run_command(args.run, aws)
        with _signals() as asked:  # before the address is printed
            _announce(aws, how, args.open)
            return _until_stopped(aws, asked)


def _announce(aws: "EmbeddedAws", how: str, is_open: bool) -> None:
    for variable, value in aws.environment.items():
        print(f"export {variable}={value}")
    print(f"# Status page: {aws.page}")
    if is_open:
        print("# Open: every program of every user of this machine may use it, and run jobs as you.")
    print(f"# Jobs {how}. Ctrl-C stops the server and its jobs.", flush=True)


def _run_command(command: str, aws: "EmbeddedAws") -> int:
    import os

    code = subprocess.run(command, shell=True, env={**os.environ, **aws.environment}, check=False).returncode
    return code if code >= 0 else 128 - code  # a signal, as shells count


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that arrive, in order."""
    asked: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: asked.append(number)) for number in _SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _until_stopped(aws: "EmbeddedAws", asked: list[int]) -> int:
    """Wait for Ctrl-C or SIGTERM. Jobs then get SIGTERM and their 120 seconds; a second Ctrl-C ends them at once.

    This thread only sleeps, briefly: it would not notice a signal that arrives just before it waits for a lock.
    """
    while not asked:
        time.sleep(_POLL_SECONDS)
    if running := aws.running:
        print(f"# Stopping {counted(running, 'job')}; Ctrl-C again kills.", flush=True)
    with ThreadPoolExecutor(1) as helper:
        stopped = helper.submit(aws.stop)
        while not stopped.done():
            if len(asked) > 1:
                aws.kill_jobs()
            time.sleep(_POLL_SECONDS)
        stopped.result()
    return 0


def _faults(args: argparse.Namespace) -> int:
    from infra.embedded import remote

    if args.clear:
        remote.delete("faults")
    if args.kind:
        named = ("kind", "service", "operation", "rate", "count", "seconds", "status", "seed")
        remote.post("faults", {name: value for name in named if (value := getattr(args, name)) is not None})
    rules = remote.get("faults")["faults"]
    for rule in rules:
        print(_line(rule))
    if not rules:
        print("no faults")
    return 0


def _line(rule: dict[str, Any]) -> str:
    extra = {"slow": f", {rule['seconds'] or 1:g} s", "error": f", status {rule['status']}"}.get(rule["kind"], "")
    return (
        f"{rule['kind']} {rule['service']}:{rule['operation']}, rate {rule['rate']:g}{extra}, "
        f"{rule['hits']:,} of at most {rule['count']:,} strikes"
    )


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or text != f"{parts.scheme}://{parts.netloc}" or not parts.netloc:
        raise InputError(f"--allow-origin: must be an origin, such as http://localhost:8080 (got {text!r})")
    return text


def _quotas(words: list[str]) -> dict[str, float]:
    quotas = {}
    for word in words:
        kind, equals, value = word.partition("=")
        if not equals or not value.isdigit():
            raise InputError(f"--quota: must be TYPE=N, such as ml.m5.large=3 (got {word!r})")
        quotas[kind] = float(value)
    return quotas
