"""A short training whose progress is watched: the learning curve, and what the heads attend to."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ahx.errors import AhxError, CheckpointError, InputError, StorageError
from ahx.evaluation.trained import Trained, load_trained
from ahx.model.checkpoint import checkpoints
from ahx.play.written import rewriting
from ahx.rules import rule_of_a_model
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.training.metrics import CURVE, history
from ahx.training.run import run
from ahx.training.settings import from_keywords
from ahx.training.signals import StopRequest

_SETTINGS = {"max_steps": 150, "epoch_size": 320, "val_samples": 200, "max_len": 10, "keep_checkpoints": 2}
_POLL_SECONDS = 0.02


def events(rule: str) -> Iterator[dict[str, Any] | Trained]:
    """Train a small model of `rule`: an event for each point of the curve, and the model in the end. Raises AhxError.

    The rule is read as that of an untrusted model: a page opens no file, and runs no Python.
    """
    learnt = rule_of_a_model(rule, None)
    if isinstance(learnt, Interpreter):
        raise InputError("an interpreter takes minutes; train it with `ahx train`, and open its run")
    example = max((text for text, _ in learnt.examples()), key=len, default="")
    with TemporaryDirectory(prefix="ahx-play-", ignore_cleanup_errors=True) as folder:
        hp = from_keywords({**_SETTINGS, "rule": learnt.spec, "model_out": folder})
        stop, failures = StopRequest(), list[BaseException]()

        def train() -> None:
            try:
                run(hp, stop=stop, quiet=True)
            except AhxError as error:
                failures.append(error)

        thread = threading.Thread(target=train, daemon=True)
        thread.start()
        try:
            yield from _progress(Path(folder), example, thread)
        finally:
            stop.signal = signal.SIGTERM
            thread.join()
        if failures:
            raise failures[0]
        yield load_trained(folder, "cpu", trusted=None)


def _progress(folder: Path, example: str, thread: threading.Thread) -> Iterator[dict[str, Any]]:
    told = 0
    while thread.is_alive():
        time.sleep(_POLL_SECONDS)
        try:
            rows = history(folder / CURVE)
        except StorageError:  # a line is being written
            continue
        if len(rows) <= told:
            continue
        event: dict[str, Any] = {"points": rows[told:], "total": _SETTINGS["max_steps"]}
        told = len(rows)
        with suppress(CheckpointError, IndexError, OSError):  # the newest may be replaced at this moment
            event["rewriting"] = rewriting(load_trained(checkpoints(folder)[-1], "cpu", trusted=None), example)
        yield event
