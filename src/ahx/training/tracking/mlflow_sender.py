"""Sends the evaluations of one run to MLflow, in a process of its own: training never waits for it.

    python -P mlflow_sender.py <LINES >ANSWERS

Each line of standard input is a JSON object: what the run is (`About`), then its evaluations, {"time": ms, "metrics":
{"step": n, ...}}, and in the end {"status": "FINISHED"}. Each answer says how many evaluations MLflow has and, after a
failed attempt, why. What could not be sent is sent with the next evaluation. At the end of standard input, as when
training is killed, the process ends too. It imports nothing of ahx, so that it starts quickly.
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

_AT_ONCE = 100  # evaluations in a request; MLflow takes 1,000 metrics
_LONGEST = 200  # characters of a reason


class About(TypedDict):
    """What a run is in MLflow."""

    uri: str
    experiment: str
    name: str
    record: str  # the file with the run's id in MLflow, by which a resumed run continues it
    hyperparameters: dict[str, Any]


class Sender:
    """One run in MLflow."""

    def __init__(self, about: About) -> None:
        """Raises ModuleNotFoundError without MLflow."""
        import mlflow

        mlflow.set_tracking_uri(about["uri"])  # sagemaker-mlflow reads it there
        self.about, uri = about, about["uri"]
        self.file = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
        self.client: Any = None
        self.run = ""  # its id
        self.described = False
        self.known: set[int] = set()  # steps that MLflow has had before

    def send(self, evaluations: list[dict[str, Any]]) -> None:
        """Raises whatever MLflow raises."""
        with self._alone():
            self._send(evaluations)

    def end(self, status: str) -> None:
        with self._alone():
            self.client.set_terminated(self.run, status)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time uses a SQLite file: MLflow fails where two of them make its tables."""
        if self.file is None:
            yield
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.file}.lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _send(self, evaluations: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric, Param

        if not self.run:
            self._open()
        if not self.described:
            values = self.about["hyperparameters"].items()
            self.client.log_batch(self.run, params=[Param(name, str(value)) for name, value in values])
            self.described = True
        metrics = [
            Metric(name, value, one["time"], one["metrics"]["step"])
            for one in evaluations
            for name, value in one["metrics"].items()
            if name != "step" and one["metrics"]["step"] not in self.known
        ]
        if metrics:
            self.client.log_batch(self.run, metrics=metrics)

    def _open(self) -> None:
        """Find the run of the record, or create one."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        about, record = self.about, Path(self.about["record"])
        self.client = MlflowClient(about["uri"])
        before = json.loads(record.read_text("utf-8")) if record.exists() else {}
        if before.get("uri") == about["uri"]:
            try:
                self._continue(before["run"])
                return
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        experiment = self.client.get_experiment_by_name(about["experiment"])
        if experiment is None:
            try:
                self.client.create_experiment(about["experiment"])
            except MlflowException as error:  # another trial may have created it meanwhile
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            experiment = self.client.get_experiment_by_name(about["experiment"])
        run = self.client.create_run(experiment.experiment_id, run_name=about["name"]).info.run_id
        record.write_text(json.dumps({"uri": about["uri"], "run": run}) + "\n", "utf-8")
        self.run = run

    def _continue(self, run: str) -> None:
        found = self.client.get_run(run)
        self.known = {one.step for one in self.client.get_metric_history(run, "val_exact")}
        self.client.update_run(run, status="RUNNING")
        self.described = bool(found.data.params)
        self.run = run


def _arrivals() -> Iterator[list[dict[str, Any]]]:
    """What standard input has, as soon as it is there."""
    unread = b""
    while chunk := os.read(0, 1 << 20):
        *lines, unread = (unread + chunk).split(b"\n")
        if lines:
            yield [json.loads(line) for line in lines]


def _why(error: BaseException) -> str:
    """The first cause in a chain of exceptions, in a few words."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:_LONGEST] or type(error).__name__


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # MLflow prints where its runs can be seen
    with suppress(OSError):
        os.nice(10)

    def answer(**what: object) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    sender, about, waiting, tracked, status = None, None, list[dict[str, Any]](), 0, ""
    for arrived in _arrivals():
        for one in arrived:
            if "uri" in one:
                about = one
            elif "status" in one:
                status = one["status"]
            else:
                waiting.append(one)
        reason = ""
        try:
            if sender is None:
                assert about is not None
                sender = Sender(about)  # type: ignore[arg-type]  # as it was sent
                answer(ready=True)
            while True:
                some = waiting[:_AT_ONCE]
                sender.send(some)
                del waiting[: len(some)]
                tracked += len(some)
                if not waiting:
                    break
                answer(tracked=tracked)
            if status:
                sender.end(status)
        except ModuleNotFoundError as error:
            reason = f"the package {error.name} is not installed; an image with MLflow: make image EXTRAS=mlflow"
        except Exception as error:
            reason = _why(error)
        answer(tracked=tracked, reason=reason)
        if status:
            break
    sys.stderr.flush()
    os._exit(0)  # at once: MLflow's own threads are not waited for


if __name__ == "__main__":
    main()
