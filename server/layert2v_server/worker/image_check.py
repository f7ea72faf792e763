"""Pictures that a client brought are decoded once by a child process, before the engine may open
them: what makes a decoder crash, run on or take all memory ends that child and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from layert2v_server.errors import PictureRefused

POLL_S = 0.1
# Numbers without code, which the engine checks; films of older states, which nobody opens here.
NOT_PICTURES = frozenset({".safetensors", ".mp4"})


def check_pictures(paths: Sequence[Path], cancelled: Callable[[], bool]) -> None:
    """Raises `PictureRefused` for the first that may not be decoded; leaves when `cancelled`."""
    pictures = [str(path) for path in paths if path.suffix not in NOT_PICTURES]
    if not pictures:
        return
    command = [sys.executable, "-m", "layert2v_server.worker.image_decode"]
    child = subprocess.Popen(  # noqa: S603  ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    question: bytes | None = json.dumps(pictures).encode()
    while True:
        try:
            answer, _ = child.communicate(question, timeout=POLL_S)
            break
        except subprocess.TimeoutExpired:
            question = None  # it has been passed on
            if cancelled():
                child.kill()
    if not cancelled():
        _judge(answer.splitlines(), pictures)


def _judge(lines: Sequence[bytes], pictures: Sequence[str]) -> None:
    """The child writes a line for each picture: what is wrong with it, or nothing."""
    for picture, line in zip(pictures, lines, strict=False):
        wrong = json.loads(line)
        if wrong:
            raise PictureRefused(
                f"The picture {Path(picture).name} cannot be used: {wrong}.",
                "Bring flat pictures that were written completely.",
            )
    if len(lines) < len(pictures):
        raise PictureRefused(
            f"The picture {Path(pictures[len(lines)]).name} cannot be used: it takes too much time "
            "or memory to decode, or is damaged.",
            "Write it again, smaller or with another compression.",
        )
