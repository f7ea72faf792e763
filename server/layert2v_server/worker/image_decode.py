"""A process that only decodes images: ``python -P -m layert2v_server.worker.image_decode``.

Reads a JSON object of paths, and writes one line of JSON for each: its problem, or an empty text.
It limits its own memory and time, so that an image made to harm ends it early. A movie is decoded
to its end; that takes its time once more than a job needs, and no decoder meets it unlimited.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from layert2v.limits import MAX_FRAMES
from layert2v_engine.image.footage.png_header import is_animation
from layert2v_server.worker.parent_death import end_with_parent

MAX_MEMORY_BYTES = 4 << 30
MAX_CPU_S, MAX_CPU_S_PER_IMAGE, MAX_CPU_S_PER_MOVIE = 30, 10, 3600
MAX_PIXELS = 1 << 27  # 16384 x 8192
MAX_CHANNELS = 256
MAX_FRAME_BYTES = 1 << 30  # decoded

_MOV_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
# Matroska, AVI, MXF, Ogg, MPEG, GIF, PNG, ASF (of WMV), DV of 525 and of 625 lines.
_MAGIC = (
    *(b"\x1aE\xdf\xa3", b"RIFF", b"\x06\x0e+4", b"OggS", b"\0\0\1\xba", b"\0\0\1\xb3", b"GIF8"),
    *(b"\x89PNG\r\n\x1a\n", b"0&\xb2u\x8ef\xcf\x11", b"\x1f\x07\0\x3f", b"\x1f\x07\0\xbf"),
)
# Bytes between the packets of a transport stream, and where the first begins: TS, and M2TS.
_PACKETS = ((188, 0), (192, 4))


def main() -> int:
    """Decode every image, up to the first with a problem; first of all measure the plates."""
    end_with_parent()
    task = json.load(sys.stdin)
    movies = {*task["movies"]}
    stills = {*task["plates"]}  # whose first picture is read alone
    movies |= {each for each in task["images"] if each not in stills and is_animation(Path(each))}
    _limit_resources(
        MAX_CPU_S + MAX_CPU_S_PER_IMAGE * len(task["images"]) + MAX_CPU_S_PER_MOVIE * len(movies)
    )
    left = task["plates_bytes"]
    for path in task["plates"]:
        left -= float_bytes(path)
        if left < 0:
            _answer(path, "all pictures together would take too much memory")
            return 0
    pixels_left = task["pixels"]
    for path in task["images"]:
        if path in movies:
            problem, pixels = find_movie_problem(path, pixels_left)
        else:
            problem, pixels = find_problem(path)
        pixels_left -= pixels
        if not problem and pixels_left < 0:
            problem = "all pictures together have too many pixels"
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
        _take_error(oiio)
        return 0
    try:
        spec = file.spec()
        sides = max(spec.width * spec.height, spec.full_width * spec.full_height)
        return 4 * sides * max(spec.nchannels, 4)
    finally:
        file.close()


def find_problem(path: str) -> tuple[str, int]:
    """Return the problem of an image and how many pixels it has; "" for no problem.

    It is looked for in the header first, then in the pixels.
    """
    import OpenImageIO as oiio

    oiio.attribute("threads", 1)
    file = oiio.ImageInput.open(path)
    if file is None:
        return _open_error(_take_error(oiio)), 0
    try:
        spec = file.spec()
        if spec.deep:
            return "it is a deep picture", 0
        width, height, channels = spec.width, spec.height, spec.nchannels
        full = (spec.full_width, spec.full_height)
        if max(width * height, full[0] * full[1]) > MAX_PIXELS:
            return f"{width} x {height} pixels are too many", 0
        if channels > MAX_CHANNELS:
            return f"{channels} channels are too many", 0
        if spec.image_bytes(native=True) > MAX_FRAME_BYTES:
            return f"{width} x {height} pixels of {channels} channels are too much", 0
        if file.read_image(0, 0, 0, channels, spec.format) is None:
            return "its pixels cannot be read", 0
    finally:
        file.close()
    return "", width * height


def find_movie_problem(path: str, pixels_left: int) -> tuple[str, int]:
    """Return the problem of a movie and how many pixels all its frames have; "" for no problem.

    Its frames are decoded one after the other, until there are more pixels than ``pixels_left``.
    """
    # A playlist would have FFmpeg open whatever it names; these formats name no other file.
    if not _is_container(Path(path)):
        return "it is no movie that can be read", 0
    import av

    pixels = 0
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MAX_PIXELS:
                return f"{width} x {height} pixels are too many", 0
            # Frames of a variable rate are repeated, however few there are.
            seconds = (container.duration or 0) / av.time_base
            if (
                seconds * float(max(stream.average_rate or 0, stream.guessed_rate or 0, 1))
                > MAX_FRAMES
            ):
                return "it is too long", 0
            for frame in container.decode(stream):
                pixels += frame.width * frame.height
                if pixels > pixels_left:
                    break
    except (av.FFmpegError, OSError, ValueError, IndexError, EOFError, AttributeError):
        return "its frames cannot be read", 0
    return ("", pixels) if pixels else ("there are no frames in it", 0)


def _is_container(path: Path) -> bool:
    """Tell whether a file begins like a movie of ``image_sequence.MOVIE_SUFFIXES``."""
    with path.open("rb") as file:
        head = file.read(256)
    if head[4:8] in _MOV_ATOMS or head.startswith(_MAGIC):
        return True
    return any(
        head[start : start + 1] == head[start + step : start + step + 1] == b"G"
        for step, start in _PACKETS
    )


def _take_error(oiio: Any) -> str:
    """Return why the library refused a file, which it must be asked for."""
    try:
        return str(oiio.geterror())
    except UnicodeDecodeError:  # it quotes the file
        return "damaged"


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
