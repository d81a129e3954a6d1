"""Trains many trials on one machine: a process forks a child for each trial, a few at a time.

The parent has imported torch but runs no operation, so that a child starts within milliseconds and computes what a
new process would. An error, a crash or a lack of memory ends the child only.

FOLDER/trials.jsonl    the state of all trials (trial_states.py)
       KEY/log         what the trial printed; the parent prints the same lines as `KEY: line`
       KEY/failure     why it failed: the first line is one sentence
       KEY/...         what its work writes
"""

import ctypes
import gc
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path

from ahx.text.printing import guarded, printable
from ahx.training.halving import hopeless
from ahx.training.lock import FolderLock
from ahx.training.metrics import Evaluation, evaluations
from ahx.training.signals import StopRequest
from ahx.training.trial_states import COMPLETED, FAILED, IN_PROGRESS, NAME, STOPPED, Record, TrialState

#: Trains the trial KEY in its folder. It returns 0, 128 + n when signal n stopped it, or another exit code after it has
#: written FOLDER/KEY/failure.
Work = Callable[[str, StopRequest], int]
#: Between SIGTERM and SIGKILL. SageMaker gives a job 120 seconds.
GRACE_SECONDS = 90.0
_PATIENCE_SECONDS = 30.0  # for preparations of a trial that is asked to stop
_POLL_SECONDS = 0.2
_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class PoolOptions:
    """How a pool trains its trials."""

    at_once: int
    max_seconds: float | None = None  # for each trial
    halving: int = 0  # stop trials that are not among the best 1/halving after 1, halving, halving**2, ... epochs
    retry_failed: bool = False  # train trials again that failed in an earlier run


@dataclass
class _Child:
    """A running trial."""

    state: TrialState
    slot: int
    process: multiprocessing.process.BaseProcess
    output: int  # the reading end of its pipe
    began: float  # monotonic
    before: float  # seconds of its earlier processes
    unread: bytes = b""  # a line that has not ended yet
    open: bool = True  # whether there may be more output
    asked: TrialState | None = None  # once it is asked to stop: its state at the end, unless it completes
    kill_at: float = float("inf")


class Pool:
    """A batch of trials. Those that an earlier pool finished in the same folder are not trained again."""

    def __init__(self, folder: Path, keys: Iterable[str], work: Work, options: PoolOptions) -> None:
        self.folder, self.work, self.options = folder, work, options
        self.keys = list(keys)
        self.running: dict[str, _Child] = {}
        self.histories: dict[str, list[Evaluation]] = {}

    def run(self, stop: StopRequest) -> dict[str, TrialState]:
        """Train until every trial is over or `stop` is requested; the states of the trials that were started.

        Raises StorageError when another pool trains in the folder, and OSError.
        """
        stop.prepared()
        # Children inherit the lock: it is released when the last of them has ended.
        with FolderLock(self.folder):
            gc.freeze()  # a collection would write to all pages that children share
            try:
                self.record = Record(self.folder / NAME)
                self._load()
                while self.running or self.waiting:
                    if stop.signal is not None:
                        self.waiting.clear()
                        self._stop_all(stop.signal)
                    while self.waiting and len(self.running) < self.options.at_once:
                        self._start(self.waiting.popleft(), stop)
                    self._listen()
                self.record.close()
            finally:
                gc.unfreeze()
                for child in self.running.values():
                    child.process.kill()
        return {key: state for key, state in self.record.states.items() if key in self.keys}

    def _load(self) -> None:
        """Read the results of earlier pools; trials that were interrupted come first."""
        states = self.record.states
        for key in states:
            path = self.folder / key / "metrics.jsonl"
            with suppress(OSError, ValueError):
                self.histories[key] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        again = {key for key, state in states.items() if state.status == FAILED and self.options.retry_failed}
        left = [key for key in self.keys if key in again or key not in states or not states[key].over]
        self.waiting = deque(sorted(left, key=lambda key: key not in states))

    def _start(self, key: str, stop: StopRequest) -> None:
        (self.folder / key).mkdir(parents=True, exist_ok=True)
        slot = min(set(range(self.options.at_once)) - {child.slot for child in self.running.values()})
        reading, writing = os.pipe()
        before = self.record.states.get(key) or TrialState(key, IN_PROGRESS, started=time.time())
        arguments = (key, slot, writing, os.getpid(), stop)
        process = multiprocessing.get_context("fork").Process(target=self._train, args=arguments, name=key)
        process.start()
        os.close(writing)
        os.set_blocking(reading, False)
        state = replace(before, status=IN_PROGRESS, over=False, reason="", ended=None)
        self.running[key] = _Child(state, slot, process, reading, time.monotonic(), before.elapsed)
        self.record.put(state)

    def _train(self, key: str, slot: int, output: int, parent: int, stopped: StopRequest) -> None:
        """Runs in the child."""
        _end_with(parent)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, "utf-8", "backslashreplace", closefd=False) for n in (1, 2))
        os.environ["LOCAL_RANK"] = str(slot)  # spreads trials over several GPUs
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors() // self.options.at_once)))
        with StopRequest(_PATIENCE_SECONDS) as stop, guarded():
            if stopped.signal is not None:  # between the fork and now
                sys.exit(128 + stopped.signal)
            sys.exit(self.work(key, stop))

    def _listen(self) -> None:
        """Wait for output or the end of a child, and check the time limits."""
        children = list(self.running.values())
        ready = connection.wait(
            [child.output for child in children if child.open] + [child.process.sentinel for child in children],
            _POLL_SECONDS,
        )
        now, limit = time.monotonic(), self.options.max_seconds
        for child in children:
            over = child.process.sentinel in ready
            if over:
                child.process.join()
            self._read(child)
            if over:
                self._end(child)
            elif now > child.kill_at:
                child.process.kill()
            elif limit is not None and child.before + now - child.began > limit:
                late = f"it took longer than its limit of {limit:g} s; raise max_seconds, or train for fewer steps"
                self._ask(child, replace(child.state, status=FAILED, over=True, reason=late))

    def _read(self, child: _Child) -> None:
        """Read what the child has printed: print it, log it, and record evaluations."""
        lines: list[str] = []
        while child.open:
            try:
                data = os.read(child.output, 1 << 16)
            except BlockingIOError:
                break
            child.open = bool(data)
            ended = b"" if data or not child.unread else b"\n"  # completes the last line
            *whole, child.unread = (child.unread + data + ended).split(b"\n")
            lines += [printable(line.decode(errors="replace")) for line in whole]
        if not lines:
            return
        key = child.state.key
        with open(self.folder / key / "log", "a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in lines)
        print("\n".join(f"{key}: {line}" for line in lines), flush=True)
        for found in evaluations(lines):
            elapsed = child.before + time.monotonic() - child.began
            child.state = replace(child.state, metrics=found, elapsed=elapsed)
            self.record.put(child.state)
            self.histories.setdefault(key, []).append(found)
            self._halve()

    def _halve(self) -> None:
        if not self.options.halving:
            return
        behind = hopeless(self.histories, self.options.halving)
        reason = f"halving: it was not among the best 1/{self.options.halving} of the trials that came as far"
        for key in behind & self.running.keys():
            child = self.running[key]
            self._ask(child, replace(child.state, status=STOPPED, over=True, reason=reason))

    def _stop_all(self, number: signal.Signals) -> None:
        for child in self.running.values():
            reason = f"interrupted by {number.name}; it continues when the batch is started again"
            self._ask(child, replace(child.state, status=STOPPED, reason=reason))

    def _ask(self, child: _Child, then: TrialState) -> None:
        """Ask the child to stop, once."""
        if child.asked is None:
            child.asked, child.kill_at = then, time.monotonic() + GRACE_SECONDS
            child.process.terminate()

    def _end(self, child: _Child) -> None:
        """Record and print how the child has ended."""
        code, key = child.process.exitcode, child.state.key
        os.close(child.output)
        child.process.close()
        del self.running[key]
        failure = self.folder / key / "failure"
        if code == 0:
            state = replace(child.state, status=COMPLETED, over=True, reason="")
        elif child.asked is not None:
            state = replace(child.asked, metrics=child.state.metrics)
            if state.status == FAILED:
                failure.write_text(f"{state.reason}\n", "utf-8")
            else:
                failure.unlink(missing_ok=True)
        else:
            reason = failure.read_text("utf-8").partition("\n")[0] if failure.exists() else ""
            state = replace(
                child.state, status=FAILED, over=True, reason=reason or f"its process ended with code {code}"
            )
        elapsed = child.before + time.monotonic() - child.began
        state = replace(state, ended=time.time(), elapsed=elapsed)
        self.record.put(state)
        print(f"{key}: {state.status}" + (f": {state.reason}" if state.reason else ""), flush=True)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with(parent: int) -> None:
    """End with the parent, even after kill -9; be the first that the kernel ends when memory runs out. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
