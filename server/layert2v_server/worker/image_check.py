"""Decode uploaded images in a child process before the engine opens them.

An image that makes a decoder crash, run on or take all memory ends that child and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from layert2v.limits import MAX_FOOTAGE_PIXELS
from layert2v_server.errors import ImageRefused
from layert2v_server.worker.inputs import footage_paths
from layert2v_server.worker.messages import UNTRUSTED_LIST

POLL_S = 0.1
# Plates are read whole, as floats, into a part of the memory that the model leaves.
PLATES_SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckProgress:
    """How many images are checked, with the attributes of an engine's progress."""

    done: int
    total: int
    stage: str = "check"
    message: str = ""
    fraction: float = 0.0
    eta_s: float | None = None
    preview: Path | None = None


Report = Callable[[CheckProgress], None]


def check_source(
    source: Path, report: Report, cancelled: Callable[[], bool], *, is_streamed: bool = False
) -> set[str]:
    """Decode what was uploaded of a source; return the SHA-256 of the rest, which nobody checked.

    ``is_streamed`` says that a job reads its inputs frame by frame, so that they need not fit into
    memory. Raises ``ImageRefused``.
    """
    listed = json.loads((source / UNTRUSTED_LIST).read_text(encoding="utf-8"))
    if isinstance(listed, list):
        listed = dict.fromkeys(listed, True)
    images = {_identity(source / place): source / place for place in listed if listed[place]}
    plates = [path for path in images.values() if "inputs" in path.relative_to(source).parts[:1]]
    if is_streamed:
        movies = [path for path in footage_paths(source).values() if path.is_file()]
        check_images(list(images.values()), cancelled, report, movies=movies)
    else:
        check_images(list(images.values()), cancelled, report, plates=plates)
    rest = [source / place for place, is_image in listed.items() if not is_image]
    return {_sha256(path) for path in rest if _identity(path) not in images}


def check_images(
    paths: Sequence[Path],
    cancelled: Callable[[], bool],
    report: Report = lambda progress: None,
    *,
    plates: Sequence[Path] = (),
    movies: Sequence[Path] = (),
) -> None:
    """Raise ``ImageRefused`` for the first image with a problem; return if ``cancelled``.

    ``plates`` are those that are read whole into memory, all of them together, ``movies`` those
    that are no images.
    """
    if not paths:
        return
    task = {
        "images": [str(path) for path in paths],
        "plates": [str(path) for path in plates],
        "movies": [str(path) for path in movies],
        "plates_bytes": int(psutil.virtual_memory().total * PLATES_SHARE_OF_MEMORY),
        "pixels": MAX_FOOTAGE_PIXELS,
    }
    command = [sys.executable, "-P", "-m", "layert2v_server.worker.image_decode"]
    checked = 0
    with subprocess.Popen(  # noqa: S603  our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            for line in _answers(child, json.dumps(task).encode(), cancelled):
                answer = json.loads(line)
                if answer["problem"]:
                    _refuse(Path(answer["image"]), answer["problem"])
                checked += 1
                report(CheckProgress(done=checked, total=len(paths)))
        finally:
            child.kill()
    if checked < len(paths) and not cancelled():
        _refuse(paths[checked], "it takes too much time or memory to decode, or is damaged")


def _answers(
    child: subprocess.Popen[bytes], task: bytes, cancelled: Callable[[], bool]
) -> Iterator[bytes]:
    """Give the child its task; yield the lines of its answer, until it ends or is cancelled."""
    stdin, stdout = child.stdin, child.stdout
    if stdin is None or stdout is None:
        return
    try:
        stdin.write(task)
        stdin.close()
    except BrokenPipeError:  # it has ended already
        return
    yield from _lines(stdout, cancelled)


def _lines(stdout: IO[bytes], cancelled: Callable[[], bool]) -> Iterator[bytes]:
    begun = b""
    while not cancelled():
        if not select.select([stdout], [], [], POLL_S)[0]:
            continue
        data = stdout.read1(65536)  # type: ignore[attr-defined]  # of a buffered reader
        if not data:
            return
        *lines, begun = (begun + data).split(b"\n")
        yield from lines


def _refuse(image: Path, problem: str) -> None:
    raise ImageRefused(
        f"The picture {image.name} cannot be used: {problem}.",
        "Bring flat pictures that were written completely, or smaller ones.",
    )


def _identity(path: Path) -> tuple[int, int]:
    """Return what is the same for all links of one file, so that each is decoded once."""
    info = path.stat()
    return info.st_dev, info.st_ino


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
