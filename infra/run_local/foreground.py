"""A job of this machine in the foreground: what it prints is shown, and Ctrl-C stops the job."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from infra.run_local.job import Job
from opt_ml import failure


def _print(line: str) -> None:
    print(line, flush=True)


def watch(job: Job, most_seconds: float | None = None, show: Callable[[str], None] = _print) -> int:
    """Show what the job prints until it ends; after `most_seconds` it is stopped. Returns the exit code.

    The first Ctrl-C or SIGTERM stops the job, which keeps a checkpoint and the model so far; a second one kills it. The
    exit code is then 128 plus the signal's number. If the job fails, the reason is printed as one sentence.
    """
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        note = "stopping; what was learnt is kept. Ctrl-C again kills" if len(received) == 1 else "killing"
        print(f"ahx: note: {note}", file=sys.stderr, flush=True)
        threading.Thread(target=job.stop if len(received) == 1 else job.kill, daemon=True).start()

    def expire() -> None:
        print(f"ahx: note: the time limit of {most_seconds:,.0f} s is up; stopping", file=sys.stderr, flush=True)
        job.stop()

    limit = threading.Timer(most_seconds or 0, expire)
    limit.daemon = True
    if most_seconds is not None:
        limit.start()
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for line in job.lines():
            show(line)
        code = job.wait()
    finally:
        limit.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        return 128 + received[0]
    if code:
        reason = failure.reason(job.tree) or f"the job ended with code {code} and gave no reason"
        print(f"ahx: error: {reason}", file=sys.stderr, flush=True)
    return code
