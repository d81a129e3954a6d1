"""Errors that a user can fix: each is one sentence that names the value and the next step.

AhxError            anything below; the command line prints it without a traceback
├── InputError      a flag, a rule, a hyperparameter or a data line is wrong          exit 2
├── StorageError    a file or folder cannot be read or written                        exit 1
├── CheckpointError a checkpoint or model folder is missing, truncated or not ours     exit 1
├── ServiceError    Docker or AWS cannot be reached, or refuses                       exit 1
└── PeerError       another process of a run in several processes was lost            exit 1
"""


class AhxError(Exception):
    """Base of all errors whose text is meant for the user."""

    exit_code = 1


class InputError(AhxError):
    """Something that the user typed, or wrote into a file, is invalid."""

    exit_code = 2


class StorageError(AhxError):
    """A path cannot be read or written: it is missing, denied, or the disk is full."""


class CheckpointError(AhxError):
    """A model folder is missing, truncated, or was not written by this project."""


class ServiceError(AhxError):
    """Another program that a command needs (Docker, AWS) cannot be reached, or refuses."""


class PeerError(AhxError):
    """A run in several processes has lost one of them, on this machine or another."""
