"""Trackers, and the reporter that feeds one beside the screen. None of them can end a run or slow it down."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Literal

from ahx.model.checkpoint import MLFLOW_RECORD, TENSORBOARD_FOLDER
from ahx.safe_files.atomic import reason
from ahx.text.plural import counted
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.progress import Example, Reporter
from ahx.training.run_paths import RunPaths
from ahx.training.tracking import mlflow_sender
from ahx.training.tracking.choice import (
    EXPERIMENT_VARIABLE,
    SQLITE,
    TENSORBOARD,
    mlflow_uri,
    without_password,
)
from ahx.training.tracking.event_file import EventFile

Evaluation = Mapping[str, float | int]
Status = Literal["FINISHED", "FAILED", "KILLED"]  # MLflow's words

#: Seconds that the end of a run waits until a server takes more evaluations, and for MLflow's start or a file.
SERVER_SECONDS, START_SECONDS = 5.0, 60.0
_POLL_SECONDS = 0.02
_MOST_UNSENT = 4 << 20  # bytes
_SENDER_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the next evaluation is the next attempt
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "OMP_NUM_THREADS": "1",
}


class Tracker:
    """Tracks nothing."""

    def begin(self, hyperparameters: Mapping[str, Any], history: Sequence[Evaluation], seconds: float) -> None:
        """The run begins, or continues after `seconds` of training with the evaluations in `history`."""

    def evaluation(self, metrics: Evaluation) -> None:
        pass

    def finish(self, status: Status) -> str:
        """The run ends: what was tracked, in a sentence."""
        return ""


class Tracked(Reporter):
    """Passes everything on to `reporter`, and evaluations to `tracker` as well."""

    def __init__(self, reporter: Reporter, tracker: Tracker) -> None:
        self.reporter, self.tracker = reporter, tracker
        self.status: Status = "FAILED"

    def say(self, sentence: str) -> None:
        self.reporter.say(sentence)

    def step(self, step: int, loss: float, tokens_per_second: float, total: int | None = None) -> None:
        self.reporter.step(step, loss, tokens_per_second, total)

    def evaluation(self, metrics: Evaluation, examples: Sequence[Example]) -> None:
        self.reporter.evaluation(metrics, examples)
        self.tracker.evaluation(metrics)

    def close(self) -> None:
        """Say what was tracked, in the last line."""
        try:
            if sentence := self.tracker.finish(self.status):
                self.reporter.say(sentence)
        finally:
            self.reporter.close()


class TensorBoard(Tracker):
    """Event files. A resumed run writes all of its evaluations into a new one, which replaces the others."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reason = folder, ""
        self.wanted = self.tracked = 0
        self._file: EventFile | None = None

    def begin(self, hyperparameters: Mapping[str, Any], history: Sequence[Evaluation], seconds: float) -> None:
        began = time.time() - seconds
        try:
            self._file = EventFile(self.folder)
            self._file.hyperparameters(hyperparameters)
        except OSError as error:
            self._file, self.reason = None, reason(error)
        for one in history:
            self._add(one, began + one["seconds"])

    def evaluation(self, metrics: Evaluation) -> None:
        self._add(metrics, time.time())

    def finish(self, status: Status) -> str:
        if self._file is not None:
            try:
                self._file.close(status == "FINISHED")
            except OSError as error:
                self.reason = reason(error)
        return _sentence(self.tracked, self.wanted, f"TensorBoard's files in {self.folder}", self.reason)

    def _add(self, metrics: Evaluation, when: float) -> None:
        self.wanted += 1
        if self._file is not None:
            values = {name: value for name, value in metrics.items() if name != "step"}
            try:
                self._file.scalars(values, int(metrics["step"]), when)
                self.tracked += 1
            except OSError as error:
                self.reason = reason(error)


class Mlflow(Tracker):
    """A run in MLflow. All that may take time is in another process; this one writes to its pipe and never waits."""

    def __init__(self, uri: str, experiment: str, name: str, record: Path) -> None:
        self.uri, self.experiment, self.name, self.record = uri, experiment, name, record
        self.reason = ""
        self.wanted = self.tracked = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ready, self._ended = False, True
        self._unsent, self._unread = bytearray(), b""

    def begin(self, hyperparameters: Mapping[str, Any], history: Sequence[Evaluation], seconds: float) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(mlflow_sender.__file__)],
                bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=os.environ | _SENDER_SETTINGS, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self.reason = reason(error)
        else:
            assert self._process.stdin
            assert self._process.stdout
            self._ended, self._stdin, self._stdout = False, self._process.stdin.fileno(), self._process.stdout.fileno()
            for pipe in (self._stdin, self._stdout):
                os.set_blocking(pipe, False)
        about = {"uri": self.uri, "experiment": self.experiment, "name": self.name, "record": str(self.record)}
        self._send({**about, "hyperparameters": hyperparameters})
        began = time.time() - seconds
        for one in history:
            self._add(one, began + one["seconds"])

    def evaluation(self, metrics: Evaluation) -> None:
        self._add(metrics, time.time())

    def finish(self, status: Status) -> str:
        """Wait while MLflow takes evaluations, for the next ones no longer than the limits above."""
        self._send({"status": status})
        moved, reached = time.monotonic(), (self._ready, self.tracked)
        try:
            while not self._ended:
                time.sleep(_POLL_SECONDS)
                self._push()
                self._read()
                if (self._ready, self.tracked) != reached:
                    moved, reached = time.monotonic(), (self._ready, self.tracked)
                limit = SERVER_SECONDS if self._ready and not self.uri.startswith(SQLITE) else START_SECONDS
                if time.monotonic() - moved > limit:
                    self.reason = self.reason or f"no answer within {limit:g} s"
                    break
        finally:
            if self._process is not None:
                self._process.kill()
                with self._process:  # closes the pipes and waits
                    pass
        where = f"MLflow at {self.uri} (experiment {self.experiment}, run {self.name})"
        return without_password(_sentence(self.tracked, self.wanted, where, self.reason))

    def _add(self, metrics: Evaluation, when: float) -> None:
        self.wanted += 1
        if len(self._unsent) < _MOST_UNSENT:
            self._send({"time": round(when * 1000), "metrics": metrics})
        self._read()

    def _send(self, what: Mapping[str, Any]) -> None:
        self._unsent += json.dumps(what).encode() + b"\n"
        self._push()

    def _push(self) -> None:
        """Write what the pipe takes."""
        while self._unsent and not self._ended:
            try:
                del self._unsent[: os.write(self._stdin, self._unsent[: 1 << 16])]
            except BlockingIOError:
                return
            except OSError:  # the process has ended; its last answer says why
                self._unsent.clear()

    def _read(self) -> None:
        """Read the answers that have come."""
        while not self._ended:
            try:
                chunk = os.read(self._stdout, 1 << 16)
            except BlockingIOError:
                break
            self._unread, self._ended = self._unread + chunk, not chunk
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self._ready = True
            self.tracked, self.reason = answer.get("tracked", self.tracked), answer.get("reason", self.reason)


def of(hp: Hyperparameters, paths: RunPaths) -> Tracker:
    """The tracker that `hp` asks for."""
    if hp.track == TENSORBOARD:
        return TensorBoard(paths.tensorboard or paths.run / TENSORBOARD_FOLDER)
    if not (uri := mlflow_uri(hp.track, os.environ)):
        return Tracker()
    record = paths.run / MLFLOW_RECORD
    if not hp.resume:
        with suppress(OSError):
            record.unlink()
    learnt = hp.rule or PurePath(hp.infile or "").name
    name = paths.name or paths.run.resolve().name
    return Mlflow(uri, os.environ.get(EXPERIMENT_VARIABLE) or learnt, name, record)


def shown(hp: Hyperparameters) -> dict[str, Any]:
    """The hyperparameters that a tracker shows."""
    return hp.model_dump(mode="json", exclude_none=True, exclude={"resume", "track"})


def _sentence(tracked: int, wanted: int, where: str, why: str) -> str:
    if tracked == wanted and (tracked or not why):
        return f"tracked: {counted(tracked, 'evaluation')} in {where}" + (f", but not the end: {why}" if why else "")
    share = f"only {tracked:,} of {counted(wanted, 'evaluation')}" if tracked else "nothing"
    return f"tracked: {share} in {where}: {why or 'its process ended'}"
