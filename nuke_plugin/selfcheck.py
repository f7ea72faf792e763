"""``nuke -t selfcheck.py [report.json]`` checks that this Nuke has what the plug-in needs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import nuke

from layert2v_nuke.selfcheck import checks

raise SystemExit(checks.main(nuke, sys.argv[1:]))
