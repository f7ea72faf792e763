"""OpenCue: the job specification in XML that Cuebot launches. A frame is a shot.

Format: cjsl-1.13.dtd of Cuebot, which orders the elements.
"""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET

from layert2v_engine.farm.bundle import Bundle, Job

SPEC_FILE = "job.xml"
_DOCTYPE = '<?xml version="1.0"?>\n<!DOCTYPE spec SYSTEM "../dtd/cjsl-1.13.dtd">\n'
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")  # Cuebot's names of jobs and layers


def write_opencue(job: Job) -> Bundle:
    """Return the specification; ``#IFRAME#`` is the number that Cuebot puts in."""
    needs = job.requirements
    spec = ET.Element("spec")
    name = _NOT_A_NAME.sub("_", job.shots.name)
    for tag, text in (("show", job.show), ("shot", name), ("user", job.user)):
        ET.SubElement(spec, tag).text = text
    element = ET.SubElement(spec, "job", name=name)
    ET.SubElement(element, "paused").text = "False"
    ET.SubElement(element, "priority").text = str(needs.priority)
    ET.SubElement(element, "maxretries").text = "2"
    layer = ET.SubElement(ET.SubElement(element, "layers"), "layer", name="shots", type="Render")
    command = [job.program, "run", job.shots_file, "--index", "#IFRAME#", "--progress", "percent"]
    values = {
        "cmd": shlex.join(command).replace("'#IFRAME#'", "#IFRAME#"),
        "range": f"1-{len(job.shots.shots)}",
        "chunk": "1",
        "cores": f"{needs.cores:.1f}" if needs.cores else "",
        "memory": _gib(needs.memory_gib),
        "gpus": str(needs.gpus or ""),
        "gpu_memory": _gib(needs.gpu_memory_gib),
        "tags": needs.pool,
    }
    for tag, text in values.items():
        if text:
            ET.SubElement(layer, tag).text = text
    if needs.limits:
        limits = ET.SubElement(layer, "limits")
        for limit in needs.limits:
            ET.SubElement(limits, "limit").text = limit
    services = ET.SubElement(layer, "services")
    ET.SubElement(services, "service").text = "shell"
    ET.indent(spec)
    return Bundle(
        files={SPEC_FILE: _DOCTYPE + ET.tostring(spec, encoding="unicode") + "\n"},
        next_step=f"launch {job.folder / SPEC_FILE} with opencue.api.launchSpec(text of the file)",
    )


def _gib(size: float) -> str:
    return f"{size:g}g" if size else ""
