"""A process that only decodes images: ``python -P -m layert2v_server.worker.image_decode``.

Reads a JSON object of paths, and writes one line of JSON for each: its problem, or an empty text.
It limits its own memory and time, so that an image made to harm ends it early.
"""

from __future__ import annotations

import json
import sys

MAX_MEMORY_BYTES = 4 << 30
MAX_CPU_S, MAX_CPU_S_PER_IMAGE = 30, 10
MAX_PIXELS = 1 << 27  # 16384 x 8192
MAX_CHANNELS = 256
MAX_FRAME_BYTES = 1 << 30  # decoded


def main() -> int:
    """Decode every image, up to the first with a problem; first of all measure the plates."""
    task = json.load(sys.stdin)
    _limit_resources(MAX_CPU_S + MAX_CPU_S_PER_IMAGE * len(task["images"]))
    left = task["plates_bytes"]
    for path in task["plates"]:
        left -= float_bytes(path)
        if left < 0:
            _answer(path, "all pictures together would take too much memory")
            return 0
    for path in task["images"]:
        problem = find_problem(path)
        _answer(path, problem)
        if problem:
            break
    return 0


def _answer(path: str, problem: str) -> None:
    sys.stdout.write(json.dumps({"image": path, "problem": problem}) + "\n")
    sys.stdout.flush()


def float_bytes(path: str) -> int:
    """Return the size of an image as floats, from its header; 0 for one that has none."""
    import OpenImageIO as oiio

    file = oiio.ImageInput.open(path)
    if file is None:
        oiio.geterror()
        return 0
    try:
        spec = file.spec()
        sides = max(spec.width * spec.height, spec.full_width * spec.full_height)
        return 4 * sides * max(spec.nchannels, 4)
    finally:
        file.close()


def find_problem(path: str) -> str:
    """Return the problem of an image, of its header first, then of its pixels; "" for none."""
    import OpenImageIO as oiio

    oiio.attribute("threads", 1)
    file = oiio.ImageInput.open(path)
    if file is None:
        return _open_error(oiio.geterror())
    try:
        spec = file.spec()
        if spec.deep:
            return "it is a deep picture"
        width, height, channels = spec.width, spec.height, spec.nchannels
        full = (spec.full_width, spec.full_height)
        if max(width * height, full[0] * full[1]) > MAX_PIXELS:
            return f"{width} x {height} pixels are too many"
        if channels > MAX_CHANNELS:
            return f"{channels} channels are too many"
        if spec.image_bytes(native=True) > MAX_FRAME_BYTES:
            return f"{width} x {height} pixels of {channels} channels are too much"
        if file.read_image(0, 0, 0, channels, spec.format) is None:
            return "its pixels cannot be read"
    finally:
        file.close()
    return ""


def _open_error(reason: str) -> str:
    # The library has limits of its own for the size in a header.
    if "limits:" in reason or "header claims" in reason:
        return "its header claims more pixels than may be read"
    return "it is no picture that can be read" if reason else "it cannot be opened"


def _limit_resources(cpu_s: int) -> None:
    if sys.platform == "win32":  # has no such limits
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
