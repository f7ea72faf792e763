"""What a generation costs here: seconds, memory, and the size of what is carried.

Measured on whole requests, files and all, so that the figures are those an artist meets.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from layert2v.spec import GenerateSpec, ModelInfo
from layert2v_engine.engine import Engine, Progress

WANTED_FRAMES, WANTED_SIZE = 17, 256
POLL_S = 0.02


def largest_request(info: ModelInfo, prompt: str) -> GenerateSpec:
    """The request nearest to 17 frames of 256 x 256 that the model takes."""

    def within(value: int, limits: tuple[int, int], step: int, base: int = 0) -> int:
        value = min(max(value, limits[0]), limits[1])
        return value - (value - base) % step

    return GenerateSpec(
        prompt=prompt,
        model=info.name,
        width=within(WANTED_SIZE, info.width_range, info.size_step),
        height=within(WANTED_SIZE, info.height_range, info.size_step),
        frames=within(WANTED_FRAMES, info.frames_range, info.frames_step, 1),
        seed=0,
    )


def generation_cost(models: Path | None, spec: GenerateSpec) -> dict[str, float]:
    """Seconds of a generation with the model in memory, of its first preview, and of the command
    line from nothing; the peak memory of that process in MB, where the system tells it.
    """
    engine = Engine(models)
    with tempfile.TemporaryDirectory() as folder:
        _timed(engine, spec, Path(folder) / "first")  # loads the model
        warm_s, preview_s = _timed(engine, spec, Path(folder) / "second")
        cold_s, peak_mb = _command_line(models, spec, Path(folder) / "third")
    figures = {
        "width": float(spec.width),
        "height": float(spec.height),
        "frames": float(spec.frames),
        "warm_s": warm_s,
        "first_preview_s": preview_s,
        "command_line_s": cold_s,
    }
    return figures | ({"peak_memory_mb": peak_mb} if peak_mb else {})


def carried_size(model: Path) -> dict[str, float]:
    """Size of a model folder and of its largest file, in MB."""
    sizes = [file.stat().st_size for file in model.rglob("*") if file.is_file()]
    return {"size_mb": sum(sizes) / 1e6, "largest_file_mb": max(sizes) / 1e6}


def _timed(engine: Engine, spec: GenerateSpec, folder: Path) -> tuple[float, float]:
    began = time.monotonic()
    previews: list[float] = []

    def report(progress: Progress) -> None:
        if progress.preview is not None and not previews:
            previews.append(time.monotonic() - began)

    engine.generate(spec, folder, report=report, cancelled=lambda: False)
    total = time.monotonic() - began
    return total, previews[0] if previews else total


def _command_line(models: Path | None, spec: GenerateSpec, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of `layert2v-engine generate` in a process of its own."""
    command = [sys.executable, "-m", "layert2v_engine", "generate", spec.prompt]
    command += ["--out", str(folder), "--model", spec.model, "--seed", "0"]
    command += ["--size", f"{spec.width}x{spec.height}", "--frames", str(spec.frames)]
    command += ["--models", str(models)] if models is not None else []
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    peak_mb = 0.0
    while process.poll() is None:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        time.sleep(POLL_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - began, peak_mb


def _peak_mb(pid: int) -> float:
    """Peak memory of a running process so far, on Linux; elsewhere, and of one that is gone, 0.

    Not `ru_maxrss`: a child begins with that of the process it was forked from.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1.024e-3 for line in lines if line.startswith("VmHWM"))
