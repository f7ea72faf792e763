"""Decode uploaded images in a child process before the engine opens them.

An image that makes a decoder crash, run on or take all memory ends that child and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from layert2v_server.errors import ImageRefused

POLL_S = 0.1
# Latents hold numbers and no code, and the engine checks them; videos are never opened here.
_UNCHECKED_SUFFIXES = frozenset({".safetensors", ".mp4"})


def check_images(paths: Sequence[Path], cancelled: Callable[[], bool]) -> None:
    """Raise ``ImageRefused`` for the first image with a problem; return if ``cancelled``."""
    images = [str(path) for path in paths if path.suffix not in _UNCHECKED_SUFFIXES]
    if not images:
        return
    command = [sys.executable, "-m", "layert2v_server.worker.image_decode"]
    child = subprocess.Popen(  # noqa: S603  our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    paths_json: bytes | None = json.dumps(images).encode()
    while True:
        try:
            answer, _ = child.communicate(paths_json, timeout=POLL_S)
            break
        except subprocess.TimeoutExpired:
            paths_json = None  # it has been written
            if cancelled():
                child.kill()
    if not cancelled():
        _raise_if_refused(answer.splitlines(), images)


def _raise_if_refused(lines: Sequence[bytes], images: Sequence[str]) -> None:
    """Raise the problem that a line of the child's output, one for each image, reports."""
    for image, line in zip(images, lines, strict=False):
        problem = json.loads(line)
        if problem:
            raise ImageRefused(
                f"The picture {Path(image).name} cannot be used: {problem}.",
                "Bring flat pictures that were written completely.",
            )
    if len(lines) < len(images):
        raise ImageRefused(
            f"The picture {Path(images[len(lines)]).name} cannot be used: it takes too much time "
            "or memory to decode, or is damaged.",
            "Write it again, smaller or with another compression.",
        )
