"""Memory that a start used and nobody needs any more goes back to the system."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Collect what is unreachable and return free pages of the allocator: some megabytes after numpy's import.

    To be called once everything is imported, before memory is locked. Does nothing more than collect where the C
    library has no ``malloc_trim`` (only glibc does).
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
