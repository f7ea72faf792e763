"""The program ``layert2v``, which is ready for Ctrl-C before the client is loaded.

A package of its own, because importing any part of the client loads all of it.
"""

from __future__ import annotations

from layert2v.interrupts import loading


def main() -> int:
    """Run the command line and return the exit code."""
    with loading():
        from layert2v_client.cli.main import main as run_command

    return run_command()
