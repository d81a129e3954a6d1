"""SageMaker's training toolkit in module mode, around the work of a job.

It provides what SageMaker's users expect: its log lines, its success file, uploads of /opt/ml/output/intermediate. Its
handling of a job's end is not used: it reports success after exit(3), and wraps sentences into tracebacks.
"""

import os
import sys
from collections.abc import Callable

from container.outcome import verdict

_MODULE = "SAGEMAKER_TRAINING_MODULE"
_waiting: list[Callable[[], None]] = []  # the work that the toolkit is about to call


def within_toolkit(work: Callable[[], None]) -> None:
    """Make the toolkit call `work` in this process; raises what `work` raises."""
    from sagemaker_training import errors, trainer

    raised: list[BaseException] = []
    finished = False

    def guarded() -> None:
        nonlocal finished
        try:
            work()
            finished = True
        except BaseException as error:
            raised.append(error)
            raise errors.ClientError(verdict(error)[1]) from None

    os.environ.setdefault(_MODULE, "entrypoints.container:main")
    _waiting.append(guarded)
    ended: BaseException | None = None
    try:
        trainer.train()
    except SystemExit as error:
        ended = error
    if raised:
        raise raised[0]
    if not finished:
        raise RuntimeError(f"SageMaker's toolkit ended without training ({ended!r}, {_MODULE}={os.environ[_MODULE]})")


def call_waiting() -> bool:
    """Do the work that waits for the toolkit's call; False when there is none."""
    if not _waiting:
        return False
    _waiting.pop()()
    return True


def fail(code: int) -> None:
    """Tell the toolkit, if it was started directly, that the job failed. The failure file is written already."""
    errors = sys.modules["sagemaker_training"].errors
    raise errors.ClientError(f"training ended with code {code}; the reason is above")
