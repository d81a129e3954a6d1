"""Failures outside the program: the machine, its limits and its locale, a broken installation."""

import errno
import linecache
import os
import re
import sys
import traceback
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from types import FrameType

OWN = ("ahx", "opt_ml", "run_logs", "container", "infra", "entrypoints")

# Failures of the machine, each with the next step.
_STORAGE_FAILURES = {
    errno.ENOSPC: "the disk is full; free some space and run the command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the command again",
    errno.EFBIG: "the file is larger than the file system or `ulimit -f` allows; write elsewhere, or raise the limit",
    errno.EACCES: "permission denied; choose another place, or change the permissions",
    errno.EPERM: "permission denied; choose another place, or change the permissions",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; check the path",
    errno.EISDIR: "this is a folder, not a file; check the path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "symbolic links lead in a circle; check the path",
    errno.EIO: "the disk cannot be read or written; check it",
    errno.EMFILE: "too many files are open at once; raise the limit: ulimit -n 1024",
    errno.ENFILE: "too many files are open on this machine; end some programs",
    errno.EAGAIN: "no more processes or threads can be started; end some programs, or raise the limit (ulimit -u)",
}
_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "failed to map segment", "bad_alloc")


def mishap(error: BaseException) -> str | None:
    """The cause and the next step, in one sentence; None if `error` can only be a bug of this program."""
    if is_out_of_memory(error):
        return "memory ran out; use a smaller model, smaller batches or shorter strings"
    if _in_chain(error, errno.EMFILE, "Too many open files"):
        return _STORAGE_FAILURES[errno.EMFILE]
    if package := _broken_package(error):
        return _install(package, error)
    if isinstance(error, OSError):
        return storage_sentence(error)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return _STORAGE_FAILURES[errno.EAGAIN]
    if isinstance(error, UnicodeEncodeError) and error.encoding.replace("-", "").lower() not in ("utf8", "utf16"):
        odd = error.object[error.start : error.end][:20]
        return f"this machine's locale ({error.encoding}) cannot write {odd!r}; set PYTHONUTF8=1 or LC_ALL=C.UTF-8"
    return None


def storage_sentence(error: OSError) -> str | None:
    """What a failed file operation means and what to do; None if it is not a failure of the machine."""
    known = _STORAGE_FAILURES.get(error.errno or 0)
    if error.filename is not None:  # about a file of the user
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return f"{name}: {known or f'{(error.strerror or str(error)).lower()}; check the path'}"
    if error.errno == errno.ENOENT and "temporary directory" in str(error):
        return "there is no folder for temporary files; set TMPDIR to one that can be written"
    if error.errno == errno.ENOENT and not _has_current_folder():
        return "the current folder was deleted; go to another one"
    return known


def is_out_of_memory(error: BaseException) -> bool:
    """Python's MemoryError, and torch's: a class for GPUs, a RuntimeError for CPUs; or a library that fails to load."""
    message = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | OSError) and any(word in message for word in _NO_MEMORY)
    )


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _in_chain(error: BaseException | None, number: int, message: str) -> bool:
    """Whether the error, or one that caused it, has this number: packages wrap errors of the system."""
    while error is not None:
        if isinstance(error, OSError) and error.errno == number:
            return True
        if isinstance(error, ImportError) and message in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _broken_package(error: BaseException) -> str | None:
    """The third-party package whose import failed, if that caused the error."""
    steps = list(traceback.walk_tb(error.__traceback__))
    own = max((at for at, (frame, _) in enumerate(steps) if _package(frame) in OWN), default=-1)
    below = [frame for frame, _ in steps[own + 1 :]]
    others = [name for frame in below if (name := _package(frame)) and name not in sys.stdlib_module_names]
    if below and below[0].f_code.co_name == "<module>":  # the import failed within the package
        return (others or [_package(below[0])])[-1]
    if not others and own >= 0:  # the import failed at the package's first file
        frame, line = steps[own]
        found = re.match(r"\s*(?:from|import) (\w+)", linecache.getline(frame.f_code.co_filename, line))
        if found and _outside(found[1]):
            return found[1]
    if isinstance(error, ImportError):
        return _outside(error.name or "") or (others[-1] if others else None)
    return None


def _outside(module: str) -> str | None:
    package = module.partition(".")[0]
    return package if package and package not in OWN else None


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _install(package: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package:
        extra = _extra(package)
        return f"this needs the package {package}, which is not installed; run: pip install {extra}"
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    name = package.replace("_", "-")
    with suppress(PackageNotFoundError):
        name += f"=={version(name)}"
    return f"the package {package} cannot be loaded ({why}); install it again: pip install --force-reinstall {name}"


def _extra(package: str) -> str:
    """What to install for a package: this program, with the extra that requires it."""
    with suppress(PackageNotFoundError):
        for line in requires("ahx-transformer") or ():
            name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == [\"'](\w+)", line)
            if name and extra and name[0].replace("-", "_").lower() == package.lower():
                return f"'ahx-transformer[{extra[1]}]'"
    return "ahx-transformer"
