"""Ctrl-C for programs whose modules take seconds to load.

An interruption of an import ends with a traceback of whatever is being imported, and may be caught
there and come back as another error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

EXIT_INTERRUPTED = 130
_AGAIN_AFTER_S = 0.05


@contextmanager
def loading() -> Iterator[None]:
    """End the process at once (exit code 130) where it is interrupted in this block of imports.

    Behind the block an interruption raises KeyboardInterrupt in the main thread, as usual, though
    not inside an import: it waits for its end. Signals are the main thread's to set.
    """
    try:
        import signal

        signal.signal(signal.SIGINT, _exit_interrupted)
    except KeyboardInterrupt:
        _exit_interrupted()
    yield
    signal.signal(signal.SIGINT, _raise_outside_imports)


def _exit_interrupted(*signal_and_frame: object) -> None:
    # Nothing has begun yet. An exception might be caught by what is being imported.
    os.write(2, b"Interrupted.\n")
    os._exit(EXIT_INTERRUPTED)


def _raise_outside_imports(number: int, frame: FrameType | None) -> None:
    if not _is_importing(frame):
        raise KeyboardInterrupt
    import threading

    again = threading.Timer(_AGAIN_AFTER_S, _send_to_main_thread, (number,))
    again.daemon = True
    again.start()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _send_to_main_thread(number: int) -> None:
    import _thread
    import signal
    import threading

    if hasattr(signal, "pthread_kill"):  # it also wakes a thread that waits for the system
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(signal.Signals(number))
