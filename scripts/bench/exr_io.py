"""Layer writing against bare OpenImageIO, for each compression, in the same run.

Rates are MB of uncompressed half pixels per second of CPU, so that a busy machine does not decide;
the two sides take turns. The baseline opens, writes and closes a file with OpenImageIO and nothing
else. ``layer`` adds what a delivered frame needs: tags, the temporary name, the check that the file
is whole, its SHA-256. ``frame`` is the way from a decoded float picture: color, premultiplication
and rounding as well. ``read`` is our reading against OpenImageIO's. The last rows compare one and
two threads that write layers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from layert2v.stack import StackFormat
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import to_half_rgba
from layert2v_engine.image.exr_header import COMPRESSIONS, ExrOptions, Tags
from layert2v_engine.stack.frame_writer import FrameWriter
from layert2v_engine.stack.manifest import PendingSequence


def main() -> None:
    """Print one row per compression."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="832x480", help="width x height")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compression", nargs="*", default=list(COMPRESSIONS))
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    torch.set_num_threads(1)
    oiio.attribute("exr_threads", -1)  # each thread compresses its own file, as FrameWriter has it
    straight = sample_image(height, width)
    print(f"{width} x {height} RGBA half, {width * height * 8 / 1e6:.2f} MB a frame")
    print("MB per CPU second; ratios are to bare OpenImageIO writing, the last to its reading")
    titles = ("codec", "file MB", "bare", "layer", "ratio", "frame", "ratio", "read", "ratio")
    print(" ".join(title.rjust(8) for title in titles))
    with tempfile.TemporaryDirectory() as folder:
        for codec in args.compression:
            print(compare(Path(folder), straight, codec, args.rounds))
        print("wall time, so on an idle machine with two cores or more:")
        for high, wide, count in ((height, width, 16), (1080, 1920, 8), (160, 224, 96)):
            image = sample_image(high, wide)
            half = to_half_rgba(image[:3], image[3]).contiguous()
            print(compare_threads(Path(folder), half, "zips", count, args.rounds))


def sample_image(height: int, width: int) -> Tensor:
    """Return straight display-referred ``[4, H, W]``, a soft matte and the spectrum of a photo."""
    generator = torch.Generator().manual_seed(0)
    fy = torch.fft.fftfreq(height)[:, None]
    fx = torch.fft.rfftfreq(width)[None]
    weight = 1 / torch.hypot(fy, fx).clamp_min(1 / max(height, width)) ** 1.15
    noise = torch.randn(4, height, width, generator=generator)
    smooth = torch.fft.irfft2(torch.fft.rfft2(noise) * weight, s=(height, width))
    low, high = smooth.amin((1, 2), keepdim=True), smooth.amax((1, 2), keepdim=True)
    image = (smooth - low) / (high - low) + 0.004 * noise
    image[3] = ((image[3] - 0.5) * 12 + 0.5).clamp(0, 1)
    return image


def compare(folder: Path, straight: Tensor, codec: str, rounds: int) -> str:
    """Return one row of the table."""
    options, path = ExrOptions(compression=codec), folder / "layer.exr"
    tags = Tags(colorspace="lin_ap1_scene", fps=24, frame=1001, comments="a red fox")
    to_linear = ColorConfig.load().transform("srgb_rec709_scene", "lin_ap1_scene")

    def convert() -> Tensor:
        return to_half_rgba(straight[:3], straight[3], to_linear)

    def layer(pixels: Tensor) -> None:
        exr.write(path, pixels, tags, options)  # with its check and its SHA-256

    half = convert().contiguous()
    array = half.numpy()
    works: list[Callable[[], object]] = [
        lambda: bare_write(folder / "bare.exr", array, codec),
        lambda: layer(half),
        lambda: layer(convert()),
        lambda: bare_read(path),
        lambda: exr.read(path),
    ]
    bare, plain, frame, bare_read_s, read = cpu_seconds(works, rounds)
    megabytes = array.nbytes / 1e6
    cells = [
        f"{path.stat().st_size / 1e6:.2f}",
        f"{megabytes / bare:.0f}",
        f"{megabytes / plain:.0f}",
        f"{bare / plain:.2f}",
        f"{megabytes / frame:.0f}",
        f"{bare / frame:.2f}",
        f"{megabytes / read:.0f}",
        f"{bare_read_s / read:.2f}",
    ]
    return " ".join(cell.rjust(8) for cell in (codec, *cells))


def compare_threads(folder: Path, half: Tensor, codec: str, frames: int, rounds: int) -> str:
    """Return how much faster two writing threads are than one, in wall time.

    Frames are written, checked and hashed as delivered; the comp and the previews of a stack wait
    for all of them and are not counted.
    """
    height, width = half.shape[:2]
    format = StackFormat(
        name="bench",
        width=width,
        height=height,
        pixel_aspect=1.0,
        fps=24,
        start_frame=1001,
        frames=frames,
        colorspace="lin_ap1_scene",
    )
    walls = {1: np.inf, 2: np.inf}
    for _ in range(rounds):
        for workers, best in walls.items():
            options = ExrOptions(compression=codec)
            writer = FrameWriter(folder, format, options, {}, workers=workers)
            sequence = PendingSequence(name="bg")
            start = time.perf_counter()
            for index in range(frames):
                writer.write(sequence, index, half)
            writer.drain()
            walls[workers] = min(best, time.perf_counter() - start)
            writer.stop()
    rate = frames * half.numel() * 2 / 1e6 / walls[1]
    return (
        f"{width} x {height} {codec}: {rate:.0f} MB/s with 1 writing thread, "
        f"x {walls[1] / walls[2]:.2f} with 2"
    )


def cpu_seconds(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Return the least CPU seconds of each work, taking turns."""
    best = [np.inf] * len(works)
    for _ in range(rounds + 1):  # the first round warms up and may win nothing
        for number, work in enumerate(works):
            start = time.process_time()
            work()
            best[number] = min(best[number], time.process_time() - start)
    return best


def bare_write(path: Path, array: np.ndarray, codec: str) -> None:
    """Write half ``[H, W, 4]`` with OpenImageIO and nothing else."""
    spec = oiio.ImageSpec(array.shape[1], array.shape[0], 4, "half")
    spec.attribute("compression", codec)
    out = oiio.ImageOutput.create(str(path))
    if out is None or not (out.open(str(path), spec) and out.write_image(array) and out.close()):
        raise SystemExit(f"OpenImageIO cannot write {codec}: {oiio.geterror()}")


def bare_read(path: Path) -> np.ndarray:
    """Read half ``[H, W, 4]`` with OpenImageIO and nothing else."""
    file = oiio.ImageInput.open(str(path))
    pixels: np.ndarray = file.read_image("half")
    file.close()
    return pixels


if __name__ == "__main__":
    main()
