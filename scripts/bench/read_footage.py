"""Footage reading against the bare library, for each format, in the same run.

Rates are frames per second of CPU, so that a busy machine does not decide; the two sides take
turns, and medians of the rounds are printed. The baseline decodes with PyAV to float R'G'B', or
reads with OpenImageIO to float pixels, and nothing else. Ours adds the checks, and converts video
itself. ``memory`` is how much the process grows over the last half of many frames.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import OpenImageIO as oiio
import torch

from layert2v_engine.image.footage.clip import open_clip


def main() -> None:
    """Print one row per format."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="1920x1080", help="width x height")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-frames", type=int, default=500)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    torch.set_num_threads(1)
    frame = sample_frame(height, width)
    print(f"{width} x {height}, frames per CPU second; the ratio is ours to the bare library")
    print(" ".join(title.rjust(14) for title in ("format", "bare", "ours", "ratio")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, path, bare in make_footage(folder, frame, args.frames):
            print(compare(label, path, bare, args.frames, args.rounds))
        print(memory_growth(folder, args.memory_frames))


def sample_frame(height: int, width: int) -> np.ndarray:
    """Return 8-bit RGB with gradients and noise."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack((x * 255 / width, y * 255 / height, (x + y) % 256), -1)
    noise = np.random.default_rng(0).normal(0, 4, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def make_footage(
    folder: Path, frame: np.ndarray, count: int
) -> list[tuple[str, Path, Callable[[Path], None]]]:
    """Write the clips; return label, path and the bare way to read each."""
    videos = (
        ("H.264", "a.mp4", "libx264", "yuv420p", {"preset": "veryfast"}),
        ("ProRes 4444", "a.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
    )
    made = []
    for label, name, codec, pixel_format, options in videos:
        write_video(folder / name, [frame] * count, codec, pixel_format, options)
        made.append((label, folder / name, bare_video))
    for label, suffix, kind, compression in (
        ("EXR half zips", "exr", "half", "zips"),
        ("DPX 10 bits", "dpx", "uint10", ""),
    ):
        (folder / suffix).mkdir()
        for number in range(count):
            write_image(folder / suffix / f"a.{number:04d}.{suffix}", frame, kind, compression)
        made.append((label, folder / suffix, bare_images))
    return made


def write_video(
    path: Path, frames: list[np.ndarray], codec: str, pixel_format: str, options: dict[str, str]
) -> None:
    """Encode RGB frames."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(24))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pixel_format, options
        for index, array in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(
                format=pixel_format
            )
            picture.pts = index
            out.mux(stream.encode(picture))
        out.mux(stream.encode())


def write_image(path: Path, frame: np.ndarray, kind: str, compression: str) -> None:
    """Write RGB with OpenImageIO."""
    spec = oiio.ImageSpec(frame.shape[1], frame.shape[0], 3, "half" if kind == "half" else "uint16")
    if kind == "uint10":
        spec.attribute("oiio:BitsPerSample", 10)
    if compression:
        spec.attribute("compression", compression)
    out = oiio.ImageOutput.create(str(path))
    if not (out.open(str(path), spec) and out.write_image(frame.astype(np.float32) / 255)):
        raise SystemExit(f"OpenImageIO cannot write {path}: {out.geterror()}")
    out.close()


def bare_video(path: Path) -> None:
    """Decode a video to float R'G'B' with PyAV and nothing else."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            frame.to_ndarray(format="gbrpf32le")


def bare_images(path: Path) -> None:
    """Read images as float with OpenImageIO and nothing else."""
    for name in sorted(path.iterdir()):
        file = oiio.ImageInput.open(str(name))
        file.read_image("float")
        file.close()


def read_clip(path: Path) -> None:
    """Read a clip as the engine does."""
    for _ in open_clip(path):
        pass


def compare(label: str, path: Path, bare: Callable[[Path], None], frames: int, rounds: int) -> str:
    """Return one row of the table: medians of rates, and of the ratio within a round."""
    times = []
    for _ in range(rounds + 1):
        turn = []
        for work in (bare, read_clip):
            start = time.process_time()
            work(path)
            turn.append(time.process_time() - start)
        times.append(turn)
    del times[0]  # warms up
    rates = [f"{frames / median(column):.1f}" for column in zip(*times, strict=True)]
    cells = (label, *rates, f"{median(theirs / ours for theirs, ours in times):.2f}")
    return " ".join(cell.rjust(14) for cell in cells)


def memory_growth(folder: Path, frames: int) -> str:
    """Return how much memory the second half of a long clip takes beyond its first."""
    small = sample_frame(270, 480)
    write_video(folder / "long.mp4", [small] * frames, "libx264", "yuv420p", {})
    peaks = []
    for index, _ in enumerate(open_clip(folder / "long.mp4"), start=1):
        if index in (frames // 2, frames):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return (
        f"memory: {(peaks[1] - peaks[0]) / 1024:.1f} MiB more after {frames} frames than after half"
    )


if __name__ == "__main__":
    main()
