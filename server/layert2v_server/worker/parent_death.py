"""Processes that end with the one that started them, however it ends and whatever they do."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent() -> None:
    """Let the system kill this process when the thread that started it ends; on Linux only.

    The end of its input tells a process the same, but not one that is stopped (SIGSTOP, a debugger)
    or deep in a call that does not return.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library without it
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
