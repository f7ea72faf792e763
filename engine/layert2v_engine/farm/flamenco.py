"""Flamenco 3: a job type for its Manager, and a job of that type as its API takes it.

Format: the manual's "Job Types" page. Flamenco has no requirements of memory: worker tags stand for
them.
"""

from __future__ import annotations

import json
import sys
from importlib import resources

from layert2v_engine.farm.bundle import Bundle, Job

SCRIPT_FILE, JOB_FILE = "layert2v.js", "job.json"
_PLATFORMS = {"win32": "windows", "darwin": "darwin"}


def write_flamenco(job: Job) -> Bundle:
    """Return the job type, and the job."""
    script = resources.files(__package__).joinpath(SCRIPT_FILE).read_text(encoding="utf-8")
    plain = {
        "name": job.shots.name,
        "type": "layert2v",
        "priority": job.requirements.priority,
        "submitter_platform": _PLATFORMS.get(sys.platform, "linux"),
        "metadata": {"user.name": job.user},
        "settings": {
            "program": job.program,
            "shots_file": job.shots_file,
            "shots": " ".join(shot.name for shot in job.shots.shots),
        },
    }
    return Bundle(
        files={SCRIPT_FILE: script, JOB_FILE: json.dumps(plain, indent=2) + "\n"},
        next_step=f"copy {SCRIPT_FILE} to the Manager's folder scripts, then POST {JOB_FILE} to "
        "its /api/v3/jobs",
    )
