"""Reuse of the memory that training on a CPU frees and needs again at once."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h
GIBIBYTE = 2**30


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, instead of giving it back to the system.

    Each step of training makes and frees the same large tensors. The C library of most Linux systems, glibc, returns
    what is free at the end of its heap, and every block of more than 32 MiB, to the system, which hands it out anew
    page by page, each filled with zeros first: tens of thousands of times a step. Here up to a gibibyte is kept
    instead. No result changes; the process stays as large as it was at its largest.

    Returns:
        Whether there was something to change: False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(option, GIBIBYTE) for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))
