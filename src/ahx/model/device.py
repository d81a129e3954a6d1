"""The device, the number of threads, and how memory is allocated."""

import ctypes
import os

import torch

from ahx.errors import InputError

_MUCH_WORK = 50_000_000  # multiplications in one matrix product
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers for its parameters (malloc.h)


def choose_device(name: str, rank: int = 0) -> torch.device:
    """The device called `name`; auto is this process's GPU if there is one. Raises InputError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: this machine has no CUDA GPU that torch can use; take --device cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {name!r}: this machine has no Apple GPU that torch can use; take --device cpu")
    if name == "cuda":
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', rank)) % torch.cuda.device_count()}"
    elif kind == "cuda" and int(name.partition(":")[2]) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs, numbered from 0")
    return torch.device(name)


def usual_threads(tokens: int, n_embd: int) -> int:
    """CPU threads for batches of `tokens`: one for small models, where more threads are slower."""
    available = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    return available if tokens * n_embd**2 > _MUCH_WORK else 1


def keep_memory() -> None:
    """Have glibc's malloc keep freed memory; does nothing without glibc.

    Every step frees its activations and allocates the same again. By default glibc maps tensors above some hundred
    kilobytes anew and unmaps them when freed, so each step has page faults for all of them. The process's memory stays
    at its peak, which training reaches soon in any case.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no C library of this kind: macOS, Windows, musl
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
