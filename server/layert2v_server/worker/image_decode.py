"""A process that only looks at pictures: `python -m layert2v_server.worker.image_decode`.

Reads a JSON list of paths, and writes one line of JSON for each: what is wrong with it, or an empty
text. It limits its own memory and time, so that a picture made to harm ends it early.
"""

from __future__ import annotations

import json
import sys

MAX_MEMORY_BYTES = 4 << 30
MAX_CPU_S, MAX_CPU_S_EACH = 30, 10
MAX_PIXELS = 1 << 27  # 16384 x 8192
MAX_CHANNELS = 256
MAX_FRAME_BYTES = 1 << 30  # decoded


def main() -> int:
    """Look at every picture; ends at the first that is refused."""
    paths = json.load(sys.stdin)
    _limit(MAX_CPU_S + MAX_CPU_S_EACH * len(paths))
    for path in paths:
        wrong = look(path)
        sys.stdout.write(json.dumps(wrong) + "\n")
        sys.stdout.flush()
        if wrong:
            break
    return 0


def look(path: str) -> str:
    """What is wrong with a picture: its header first, then its pixels; "" for a good one."""
    import OpenImageIO as oiio

    oiio.attribute("threads", 1)
    file = oiio.ImageInput.open(path)
    if file is None:
        return _unopened(oiio.geterror())
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


def _unopened(why: str) -> str:
    """The library has limits of its own for what a header may claim."""
    if "limits:" in why or "header claims" in why:
        return "its header claims more pixels than may be read"
    return "it is no picture that can be read" if why else "it cannot be opened"


def _limit(cpu_s: int) -> None:
    if sys.platform == "win32":  # has no such limits
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
