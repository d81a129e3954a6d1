"""How a job ended, in the two ways that SageMaker reads: the exit code, and the failure file.

A job has succeeded when it ends with code 0 *and* a model. Otherwise the failure file's first line is a sentence that a
user can act on, with the traceback below it. The file is written at the start and removed at success, because a process
that the kernel kills when memory runs out cannot write.
"""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ahx.errors import AhxError, StorageError
from ahx.system_errors import is_out_of_memory, mishap
from ahx.text.printing import printable
from opt_ml import failure as failures

_KILLED = (
    "the training process was killed before it could say why, as happens when memory runs out; "
    "use a smaller batch_size or model, or an instance (docker run --memory) with more memory"
)


def run(failure: Path | None, work: Callable[[], None]) -> int:
    """Do `work`; returns the exit code. The failure file, if one is given, is written or removed. Never raises."""
    try:
        if failure is not None:
            _begin(failure)
        work()
    except BaseException as error:
        return report(failure, error)
    if failure is not None:
        with suppress(OSError):
            failure.unlink()
    return 0


def report(failure: Path | None, error: BaseException) -> int:
    """Print why the job failed and write the failure file; returns the exit code."""
    code, sentence = verdict(error)
    details = printable("".join(traceback.format_exception(error)))
    if not isinstance(error, AhxError) and mishap(error) is None:
        print(details, end="", file=sys.stderr)
    print(f"ahx: error: {sentence}", file=sys.stderr, flush=True)
    if failure is not None:
        failures.write(failure, sentence, details)
    return code


def _begin(failure: Path) -> None:
    """Write the failure file for a sudden end. Raises StorageError."""
    try:
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(_KILLED + "\n", "utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(
            f"cannot write {failure}: {reason}; mount a writable folder with room at {failure.parent}"
        ) from error


def verdict(error: BaseException) -> tuple[int, str]:
    """The exit code for an error, and one sentence of at most 1,024 characters."""
    code = 1
    if isinstance(error, AhxError):
        code, sentence = error.exit_code, str(error)
    elif is_out_of_memory(error):
        sentence = "memory ran out; use a smaller batch_size or model, or an instance with more memory"
    elif known := mishap(error):
        sentence = known
    elif isinstance(error, SystemExit):
        sentence = f"training called exit({error.code!r}), a bug in ahx; please report it with the lines below"
    else:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        sentence = f"a bug in ahx, please report it with the lines below ({what})"
    return code, one_line(sentence)


def one_line(text: str) -> str:
    """`text` as one line of at most 1,024 characters."""
    parts = printable(text).splitlines()
    line = "; ".join(part.strip().removeprefix("- ") for part in parts if part.strip()).replace(":;", ":")
    return line if len(line) <= failures.SHOWN else line[: failures.SHOWN - 3] + "..."
