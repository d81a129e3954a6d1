"""The failure file of a job: why it failed, a sentence first. SageMaker shows its first 1,024 characters."""

import os
from contextlib import suppress
from pathlib import Path

from ahx.safe_files.untrusted import no_link
from opt_ml.paths import OptMl

#: Number of characters that SageMaker shows.
SHOWN = 1024
_MOST_BYTES = 1 << 16  # that are read


def read(tree: OptMl) -> str:
    """What the failure file says; "" where there is none. It counts only once the job has failed: while a job runs, the
    file says what a sudden end would mean."""
    try:
        with open(tree.failure, "rb", opener=no_link) as file:
            return (file.read(_MOST_BYTES) or b"").decode(errors="replace").strip()
    except OSError:  # missing, or not a regular file
        return ""


def reason(tree: OptMl) -> str:
    """The first line of the failure file: one sentence, or ""."""
    return read(tree).partition("\n")[0]


def write(file: Path, sentence: str, details: str = "") -> None:
    """Write the failure file as well as can be: on a full disk over an earlier one, and without the details."""
    for text in (f"{sentence}\n\n{details}" if details else "", f"{sentence}\n"):
        if text:
            with suppress(OSError), open(file, "r+" if file.exists() else "w", encoding="utf-8") as handle:
                handle.write(text)
                handle.truncate()
                handle.flush()
                os.fsync(handle.fileno())
                return
