"""Image files that must be refused: deep, huge, truncated, or no image at all."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio


def valid(path: Path, width: int = 8, height: int = 6) -> Path:
    """Write a valid EXR file."""
    pixels = {"RGBA": np.full((height, width, 4), 0.25, dtype=np.float16)}
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, pixels).write(str(path))
    return path


def truncate(path: Path) -> Path:
    """Write an EXR file without its last bytes."""
    data = valid(path, 64, 64).read_bytes()
    path.write_bytes(data[:-9])
    return path


def with_unreadable_name(path: Path) -> Path:
    """Write an EXR file with a name in its header that is no text, which its error quotes."""
    path.write_bytes(valid(path).read_bytes().replace(b"\0chan", b"\0\xff\xff\xff\xff", 1))
    return path


def with_header_size(path: Path, width: int, height: int) -> Path:
    """Write a small EXR file whose header has another size."""
    data = bytearray(valid(path).read_bytes())
    for name in (b"dataWindow\0box2i\0", b"displayWindow\0box2i\0"):
        start = data.index(name) + len(name) + 4
        struct.pack_into("<4i", data, start, 0, 0, width - 1, height - 1)
    path.write_bytes(bytes(data))
    return path


def deep(path: Path) -> Path:
    """Write a deep EXR file, with several samples a pixel."""
    spec = oiio.ImageSpec(4, 4, 2, "float")
    spec.channelnames = ("A", "Z")
    spec.deep = True
    samples = oiio.DeepData()
    samples.init(spec)
    for pixel in range(16):
        samples.set_samples(pixel, 2)
    out = oiio.ImageOutput.create("exr")
    assert out.open(str(path), spec)
    assert out.write_deep_image(samples)
    out.close()
    return path


def with_channels(path: Path, channels: int) -> Path:
    """Write an EXR file with so many channels."""
    image = oiio.ImageBuf(oiio.ImageSpec(2, 2, channels, "half"))
    assert image.write(str(path))
    return path


def not_an_image(path: Path) -> Path:
    """Write text under the name of an image."""
    path.write_text("not a picture")
    return path
