"""The program ``layert2v-farm``, which is ready for Ctrl-C before its modules are loaded."""

from __future__ import annotations

import sys

from layert2v.interrupts import loading


def main() -> int:
    """Run the command line and return the exit code."""
    with loading():
        from layert2v_engine.farm.cli import main as run_command

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
