"""The cost of a generation on this machine: seconds, memory and the size of the checkpoint.

Measured on whole requests, files and all, so that the metrics are those an artist meets.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from layert2v.spec import GenerateSpec, ModelInfo, fit_to_model
from layert2v_engine.engine import Engine, Progress

FRAMES, WIDTH, HEIGHT = 17, 320, 192
POLL_S = 0.02


def benchmark_request(info: ModelInfo, prompt: str) -> GenerateSpec:
    """Return the request nearest to 17 frames of 320 x 192 that the model takes."""
    width, height, frames = fit_to_model(info, WIDTH, HEIGHT, FRAMES)
    return GenerateSpec(
        prompt=prompt, model=info.name, width=width, height=height, frames=frames, seed=0
    )


def clip_megapixels(info: ModelInfo) -> float:
    """Return the million pixels of all frames of a clip of the model's own size."""
    return info.default_width * info.default_height * info.default_frames / 1e6


def measure_generation(models: Path | None, spec: GenerateSpec) -> dict[str, float]:
    """Return seconds of a generation and of its first preview, and the peak memory.

    The model is in memory already; the command line that starts from nothing has its own seconds.
    Peak memory in MB is that of its process, where the system says so.
    """
    engine = Engine(models)
    with tempfile.TemporaryDirectory() as folder:
        _time_generation(engine, spec, Path(folder) / "first")  # loads the model
        warm_s, preview_s = _time_generation(engine, spec, Path(folder) / "second")
        cold_s, peak_mb = _time_command_line(models, spec, Path(folder) / "third")
    metrics = {
        "width": float(spec.width),
        "height": float(spec.height),
        "frames": float(spec.frames),
        "warm_s": warm_s,
        "first_preview_s": preview_s,
        "command_line_s": cold_s,
    }
    return metrics | ({"peak_memory_mb": peak_mb} if peak_mb else {})


def checkpoint_size(model: Path) -> dict[str, float]:
    """Return the size of a model folder and of its largest file, in MB."""
    sizes = [file.stat().st_size for file in model.rglob("*") if file.is_file()]
    return {"size_mb": sum(sizes) / 1e6, "largest_file_mb": max(sizes) / 1e6}


def _time_generation(engine: Engine, spec: GenerateSpec, folder: Path) -> tuple[float, float]:
    start_s = time.monotonic()
    previews: list[float] = []

    def report(progress: Progress) -> None:
        if progress.preview is not None and not previews:
            previews.append(time.monotonic() - start_s)

    engine.generate(spec, folder, report=report, cancelled=lambda: False)
    total = time.monotonic() - start_s
    return total, previews[0] if previews else total


def _time_command_line(
    models: Path | None, spec: GenerateSpec, folder: Path
) -> tuple[float, float]:
    """Return seconds and peak memory in MB of ``layert2v-engine generate`` in its own process."""
    command = [sys.executable, "-P", "-m", "layert2v_engine", "generate", spec.prompt]
    command += ["--out", str(folder), "--model", spec.model, "--seed", "0"]
    command += ["--size", f"{spec.width}x{spec.height}", "--frames", str(spec.frames)]
    command += ["--models", str(models)] if models is not None else []
    start_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    peak_mb = 0.0
    while process.poll() is None:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        time.sleep(POLL_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - start_s, peak_mb


def _peak_mb(pid: int) -> float:
    """Return the peak memory in MB of a running process; 0 if it is gone, and outside of Linux.

    Not ``ru_maxrss``: a child begins with that of the process it was forked from.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1.024e-3 for line in lines if line.startswith("VmHWM"))
