"""Runs another script of this folder and ends the process at once.

    python blender_run.py SCRIPT ARGUMENT...

Blender's own way out reports on memory, and after an exception it may wait for a thread for ever.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from pathlib import Path


def main() -> None:
    status = 0
    del sys.argv[0]
    try:
        runpy.run_path(str(Path(__file__).with_name(sys.argv[0])), run_name="__main__")
    except BaseException:  # also an exit: the status is what the test looks at
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
