"""Errors that a user can mend: each is one sentence that names the value and the next step.

AhxError            anything below; the command line prints it without a traceback
├── InputError      a flag, a rule, a hyperparameter or a data line is wrong          exit 2
├── StorageError    a file or folder cannot be read or written                        exit 1
├── CheckpointError a checkpoint or model folder is missing, truncated or foreign     exit 1
├── ServiceError    Docker or AWS cannot be reached, or refuses                       exit 1
└── PeerError       another process of a run in several processes was lost            exit 1
"""

import errno

# Failures of the machine, not of the program, and what to do about each.
_STORAGE_FAILURES = {
    errno.ENOSPC: "the disk is full; free some space and run the command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the command again",
    errno.EACCES: "permission denied; choose another place, or change the permissions",
    errno.EPERM: "permission denied; choose another place, or change the permissions",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; check the path",
    errno.EISDIR: "this is a folder, not a file; check the path",
    errno.EIO: "the disk cannot be read or written; check it",
}


class AhxError(Exception):
    """Base of all errors whose text is meant for the user."""

    exit_code = 1


class InputError(AhxError):
    """What the user typed, or what a file of theirs says, cannot be used."""

    exit_code = 2


class StorageError(AhxError):
    """A path cannot be read or written: missing, denied, full."""


class CheckpointError(AhxError):
    """A model folder is missing, truncated, or was not written by this project."""


class ServiceError(AhxError):
    """Another program that a command needs (Docker, AWS) cannot be reached, or refuses."""


class PeerError(AhxError):
    """A run in several processes has lost one of them, on this machine or another."""


def storage_sentence(error: OSError) -> str | None:
    """What a failed file operation means and what to do; None where it is no failure of the machine."""
    known = _STORAGE_FAILURES.get(error.errno or 0)
    return known if known is None or error.filename is None else f"{error.filename}: {known}"


def is_out_of_memory(error: BaseException) -> bool:
    """Python's own error, and torch's: for GPUs a class of its own, for CPUs a RuntimeError."""
    told = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in told or "can't allocate memory" in told)
    )
