"""The program ``layert2v``, which is ready for Ctrl-C before the client is loaded.

That takes up to a second, in which an interruption would end with a traceback of whatever is being
imported. A package of its own, because importing any part of the client loads all of it.
"""

from __future__ import annotations

import os

EXIT_INTERRUPTED = 130


def main() -> int:
    """Run the command line and return the exit code."""
    try:
        import signal

        signal.signal(signal.SIGINT, _exit_interrupted)
    except KeyboardInterrupt:
        _exit_interrupted()
    from layert2v_client.cli.main import main as run_command

    return run_command()


def _exit_interrupted(*signal_and_frame: object) -> None:
    # Nothing has begun yet. An exception might be caught by what is being imported.
    os.write(2, b"Interrupted.\n")
    os._exit(EXIT_INTERRUPTED)
