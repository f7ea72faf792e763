"""Open Job Description: a job template, as Deadline Cloud takes it and ``openjd run`` runs it.

Format: OpenJobDescription/openjd-specifications, revision 2023-09.
"""

from __future__ import annotations

import json
from typing import Any

from layert2v_engine.farm.bundle import SHOTS_FILE, Bundle, Job
from layert2v_engine.farm.requirements import Requirements

TEMPLATE, STEP = "template.json", "Shots"
MIB_PER_GIB = 1024
CANCEL_GRACE_S = 30


def write_openjd(job: Job) -> Bundle:
    """Return the template: one step, a task for each shot."""
    step: dict[str, Any] = {
        "name": STEP,
        "parameterSpace": {
            "taskParameterDefinitions": [
                {"name": "Shot", "type": "STRING", "range": [s.name for s in job.shots.shots]}
            ]
        },
        "script": {"actions": {"onRun": _action()}},
    }
    amounts = _amounts(job.requirements)
    if amounts:
        step["hostRequirements"] = {"amounts": amounts}
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": job.shots.name,
        "description": "Layer stacks of LayerT2V, one whole shot a task.",
        "parameterDefinitions": [
            {
                "name": "Program",
                "type": "STRING",
                "default": job.program,
                "description": "layert2v-farm on the worker",
            },
            {
                "name": "ShotsFile",
                "type": "PATH",
                "objectType": "FILE",
                "dataFlow": "IN",
                "default": SHOTS_FILE,  # beside the template, as its format wants
                "description": "The list of shots that submit wrote",
            },
        ],
        "steps": [step],
    }
    return Bundle(
        files={TEMPLATE: json.dumps(template, indent=2) + "\n"},
        next_step=f"openjd run {job.folder / TEMPLATE} --step {STEP}",
    )


def _action() -> dict[str, Any]:
    arguments = ["run", "{{Param.ShotsFile}}", "--shot", "{{Task.Param.Shot}}"]
    return {
        "command": "{{Param.Program}}",
        "args": [*arguments, "--progress", "openjd"],
        "cancelation": {
            "mode": "NOTIFY_THEN_TERMINATE",
            "notifyPeriodInSeconds": CANCEL_GRACE_S,
        },
    }


def _amounts(needs: Requirements) -> list[dict[str, Any]]:
    wanted = {
        "amount.worker.vcpu": needs.cores,
        "amount.worker.memory": round(needs.memory_gib * MIB_PER_GIB),
        "amount.worker.gpu": needs.gpus,
        "amount.worker.gpu.memory": round(needs.gpu_memory_gib * MIB_PER_GIB),
        **{f"amount.{limit}": 1 for limit in needs.limits},
    }
    return [{"name": name, "min": value} for name, value in wanted.items() if value]
