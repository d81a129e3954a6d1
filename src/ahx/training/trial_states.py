"""The record of a batch of trials: trials.jsonl has one JSON line for each change of a trial's state."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

NAME = "trials.jsonl"
# The words of SageMaker's TrainingJobStatus. A trial that has not started has no line.
IN_PROGRESS, COMPLETED, FAILED, STOPPED = "InProgress", "Completed", "Failed", "Stopped"


@dataclass(frozen=True)
class TrialState:
    """One trial at one moment."""

    key: str
    status: str
    over: bool = False  # False for a trial that continues when the batch is started again
    reason: str = ""  # why it failed or stopped: one sentence
    metrics: Mapping[str, float] = field(default_factory=dict)  # of its latest evaluation
    started: float = 0.0  # Unix time of its first start
    ended: float | None = None  # Unix time
    elapsed: float = 0.0  # seconds that its processes took, up to `ended` or its latest evaluation
    kills: int = 0  # times its process was ended from outside


class Record:
    """The states of a batch's trials, kept in a file that is only ever appended to."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be written."""
        self.states = read(path)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # as long as the record
        if self._file.tell() and path.read_bytes()[-1:] != b"\n":
            self._file.write(b"\n")

    def put(self, state: TrialState) -> None:
        self.states[state.key] = state
        self._file.write(f"{json.dumps(vars(state))}\n".encode())

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> dict[str, TrialState]:
    """The latest state of each trial, by its key; empty where there is no file."""
    return {state.key: state for state in lines(path.read_bytes() if path.exists() else b"")}


def lines(text: bytes) -> list[TrialState]:
    """All states in the file's contents, in order. A line that is cut off is skipped."""
    names = {one.name for one in fields(TrialState)}
    states: list[TrialState] = []
    for line in text.splitlines():
        try:
            found = json.loads(line)
            states.append(TrialState(found["key"], **{name: found[name] for name in found.keys() & names - {"key"}}))
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return states
