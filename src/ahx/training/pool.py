"""Trains many trials on one machine: a few worker processes, each of which trains one trial after another.

Workers are forked from a process that has imported torch but runs no operation, so that one starts within
milliseconds. It ends with a trial that does not succeed: an error, a crash or a lack of memory costs that trial only.
A trial whose process is ended from outside is trained once more, from its checkpoint.

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
from multiprocessing.process import BaseProcess
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
_MOST_KILLS = 1  # of a trial's process, by others, after which the trial is trained again
_PDEATHSIG = 1  # prctl(2)
_Control = connection.Connection


@dataclass(frozen=True)
class PoolOptions:
    """How a pool trains its trials."""

    at_once: int
    max_seconds: float | None = None  # for each trial
    halving: int = 0  # stop trials that are not among the best 1/halving after 1, halving, halving**2, ... epochs
    retry_failed: bool = False  # train trials again that failed in an earlier run


@dataclass
class _Worker:
    """A process that trains one trial after another."""

    slot: int
    process: BaseProcess
    output: int  # the reading end of its pipe
    control: _Control  # sends keys of trials, receives 0 for each that succeeds
    open: bool = True  # whether there may be more output

    def exit_code(self) -> int:
        """That of its trial, or of itself; one of the two has ended."""
        with suppress(EOFError, OSError):
            if self.control.poll():
                return int(self.control.recv())
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.control.close()
        os.close(self.output)


@dataclass
class _Running:
    """A trial in a worker."""

    state: TrialState
    worker: _Worker
    began: float  # monotonic
    before: float  # seconds of its earlier processes
    unread: bytes = b""  # a line that has not ended yet
    asked: TrialState | None = None  # once it is asked to stop: its state at the end, unless it completes
    kill_at: float = float("inf")


class Pool:
    """A batch of trials. Those that an earlier pool finished in the same folder are not trained again."""

    def __init__(self, folder: Path, keys: Iterable[str], work: Work, options: PoolOptions) -> None:
        self.folder, self.work, self.options = folder, work, options
        self.keys = list(keys)
        self.running: dict[str, _Running] = {}
        self.idle: list[_Worker] = []
        self.histories: dict[str, list[Evaluation]] = {}

    def run(self, stop: StopRequest) -> dict[str, TrialState]:
        """Train until every trial is over or `stop` is requested; the states of the trials that were started.

        Raises StorageError when another pool trains in the folder, and OSError.
        """
        stop.prepared()
        # Workers inherit the lock: it is released when the last of them has ended.
        with FolderLock(self.folder):
            gc.freeze()  # a collection would write to all pages that workers share
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
                for worker in [*self.idle, *(one.worker for one in self.running.values())]:
                    worker.close()
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
        before = self.record.states.get(key) or TrialState(key, IN_PROGRESS, started=time.time())
        kills = 0 if before.over else before.kills
        state = replace(before, status=IN_PROGRESS, over=False, reason="", ended=None, kills=kills)
        worker = self.idle.pop() if self.idle else self._fork(stop)
        with suppress(OSError):  # its process was ended meanwhile; _listen notices
            worker.control.send(key)
        self.running[key] = _Running(state, worker, time.monotonic(), before.elapsed)
        self.record.put(state)

    def _fork(self, stop: StopRequest) -> _Worker:
        others = [one.worker for one in self.running.values()]
        slot = min(set(range(self.options.at_once)) - {worker.slot for worker in others})
        ours, theirs = multiprocessing.Pipe()
        reading, writing = os.pipe()

        def work(parent: int) -> None:  # in the new process
            for control in (ours, *(worker.control for worker in others)):
                control.close()  # so that each worker ends with the parent
            self._work(slot, theirs, writing, parent, stop)

        process = multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(),))
        process.start()
        theirs.close()
        os.close(writing)
        os.set_blocking(reading, False)
        return _Worker(slot, process, reading, ours)

    def _work(self, slot: int, control: _Control, output: int, parent: int, stopped: StopRequest) -> None:
        """Train the trials whose keys come through `control`; runs in a worker."""
        _end_with(parent)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, "utf-8", "backslashreplace", closefd=False) for n in (1, 2))
        os.environ["LOCAL_RANK"] = str(slot)  # spreads trials over several GPUs
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors() // self.options.at_once)))
        with suppress(EOFError):  # the parent has ended
            while True:
                key = control.recv()
                with StopRequest(_PATIENCE_SECONDS) as stop, guarded():
                    if stopped.signal is not None:  # before this trial began
                        sys.exit(128 + stopped.signal)
                    code = self.work(key, stop)
                if code or "torch._dynamo" in sys.modules:  # a process may compile a function a few times only
                    sys.exit(code)
                gc.collect()  # the model
                if "torch" in sys.modules and (cuda := sys.modules["torch"].cuda).is_initialized():
                    cuda.empty_cache()  # other workers share the GPU
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                control.send(0)

    def _listen(self) -> None:
        """Wait for output or the end of a trial, and check the time limits."""
        running = list(self.running.values())
        workers = [one.worker for one in running]
        ready = connection.wait(
            [worker.output for worker in workers if worker.open]
            + [one for worker in workers for one in (worker.control, worker.process.sentinel)],
            _POLL_SECONDS,
        )
        now, limit = time.monotonic(), self.options.max_seconds
        for one in running:
            worker = one.worker
            code = worker.exit_code() if worker.control in ready or worker.process.sentinel in ready else None
            self._read(one, ended=code is not None)
            if code is not None:
                self._end(one, code)
            elif now > one.kill_at:
                worker.process.kill()
            elif limit is not None and one.before + now - one.began > limit:
                late = f"it took longer than its limit of {limit:g} s; raise max_seconds, or train for fewer steps"
                self._ask(one, replace(one.state, status=FAILED, over=True, reason=late))

    def _read(self, one: _Running, ended: bool) -> None:
        """Read what the trial has printed: print it, log it, and record evaluations."""
        data = b""
        while one.worker.open:
            try:
                chunk = os.read(one.worker.output, 1 << 16)
            except BlockingIOError:
                break
            one.worker.open = bool(chunk)
            data += chunk
        *whole, one.unread = (one.unread + data).split(b"\n")
        if ended and one.unread:
            whole.append(one.unread)
        lines = [printable(line.decode(errors="replace")) for line in whole]
        if not lines:
            return
        key = one.state.key
        with open(self.folder / key / "log", "a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in lines)
        print("\n".join(f"{key}: {line}" for line in lines), flush=True)
        for found in evaluations(lines):
            elapsed = one.before + time.monotonic() - one.began
            one.state = replace(one.state, metrics=found, elapsed=elapsed)
            self.record.put(one.state)
            self.histories.setdefault(key, []).append(found)
            self._halve()

    def _halve(self) -> None:
        if not self.options.halving:
            return
        behind = hopeless(self.histories, self.options.halving)
        reason = f"halving: it was not among the best 1/{self.options.halving} of the trials that came as far"
        for key in behind & self.running.keys():
            one = self.running[key]
            self._ask(one, replace(one.state, status=STOPPED, over=True, reason=reason))

    def _stop_all(self, number: signal.Signals) -> None:
        for one in self.running.values():
            reason = f"interrupted by {number.name}; it continues when the batch is started again"
            self._ask(one, replace(one.state, status=STOPPED, reason=reason))

    def _ask(self, one: _Running, then: TrialState) -> None:
        """Ask the trial to stop, once."""
        if one.asked is None:
            one.asked, one.kill_at = then, time.monotonic() + GRACE_SECONDS
            one.worker.process.terminate()

    def _end(self, one: _Running, code: int) -> None:
        """Record and print how the trial has ended."""
        key, state, asked = one.state.key, one.state, one.asked
        del self.running[key]
        if code == 0 and asked is None and one.worker.process.is_alive():
            self.idle.append(one.worker)
        else:
            one.worker.close()
        failure = self.folder / key / "failure"
        if code == 0:
            state = replace(state, status=COMPLETED, over=True)
        elif asked is not None:
            state = replace(asked, metrics=state.metrics)
            if state.status == FAILED:
                failure.write_text(f"{state.reason}\n", "utf-8")
            else:
                failure.unlink(missing_ok=True)
        elif (code == -signal.SIGKILL or code > 128) and state.kills < _MOST_KILLS:  # by the system or by a user
            reason = f"its process was ended from outside (code {code}); it is trained again, from its checkpoint"
            state = replace(state, status=STOPPED, reason=reason, kills=state.kills + 1)
            self.waiting.appendleft(key)
        else:
            reason = failure.read_text("utf-8").partition("\n")[0] if failure.exists() else ""
            state = replace(state, status=FAILED, over=True, reason=reason or f"its process ended with code {code}")
        elapsed = one.before + time.monotonic() - one.began
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
