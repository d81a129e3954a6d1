"""The time limit of a run: how much of it has passed, and when to evaluate within it."""

import os
import time

#: The environment variable in which a launcher tells a job how many seconds it may take.
MAX_RUNTIME = "AHX_MAX_RUNTIME"
_OF_RUNTIME = 0.95  # the rest is for starting and for delivering the model
#: A job that is not slower than its plan by more than this share of its time has the weights of a run without limit.
_BEHIND = 0.1
EVALUATIONS = 20  # of a run on files
_MOST_EVALUATING = 0.05  # of the time


class TimeLimit:
    """`seconds` from the moment `began` (of time.monotonic()) to the end of the run, its model written.

    The learning rate follows it, so the last evaluation and writing the model are set apart, by what they took before.
    Where no `seconds` are given, the limit of a job counts, as a latest end.
    """

    def __init__(self, seconds: float | None, began: float | None) -> None:
        runtime = os.environ.get(MAX_RUNTIME, "")
        latest = _OF_RUNTIME * int(runtime) if runtime.isdecimal() else None
        self.spare = _BEHIND if seconds is None or (latest is not None and latest < seconds) else 0.0
        self.seconds = min((limit for limit in (seconds, latest) if limit is not None), default=None)
        self.began = time.monotonic() if began is None else began
        self.before = 0.0  # seconds from there to the first step
        self.evaluating = self.writing = 0.0  # seconds that the last evaluation and the last checkpoint took
        self.evaluated = 0.0  # seconds of training before the last evaluation

    def start(self, trained: float) -> None:
        """The next step is the first one of this process, after `trained` seconds in earlier ones."""
        self.before, self.evaluated = time.monotonic() - self.began, trained

    def used(self, trained: float) -> float:
        """The share that has passed after `trained` seconds of training; 0 where there is no limit."""
        if self.seconds is None:
            return 0.0
        share = (self.before + trained) / max(self.seconds - self.evaluating - 2 * self.writing, 1e-9)
        return (share - self.spare) / (1 - self.spare)

    def evaluation_is_due(self, trained: float) -> bool:
        if self.seconds is None:
            return False
        pause = max(self.seconds / EVALUATIONS, self.evaluating / _MOST_EVALUATING)
        near_the_end = self.used(trained) > 1 - 0.5 / EVALUATIONS
        return not near_the_end and trained - self.evaluated >= pause
