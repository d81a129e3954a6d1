"""Keep the memory that a step of training gives back, instead of returning it to the system."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers for its parameters (malloc.h)


def keep_memory() -> None:
    """Ask glibc's malloc to keep what is freed; does nothing where there is no glibc.

    Every step frees its activations and allocates the same again. By default glibc gets tensors above some hundred
    kilobytes fresh from the system and hands them back at once, so each step pays page faults for all of them again.
    The process's memory stays at its highest, which for training is where it soon is anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no C library of this kind: macOS, Windows, musl
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
