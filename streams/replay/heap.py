"""The heap of a process that works on columns. Told once, at its start."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20
_MAPPED_FROM_BYTES = 32 << 20


def keep_heap() -> None:
    """Let this process keep the memory that it frees, up to 256 MiB. Columns come and go by the megabyte; glibc would
    give each back to the system and fault its pages in anew (a third of the time of reading, on a virtual machine).
    Elsewhere than on glibc it does nothing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
