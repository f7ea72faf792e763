"""Footage to read: opened once, iterated frame by frame, with notes about what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from layert2v import image_sequence
from layert2v.rerender import AUTO
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage import stills
from layert2v_engine.image.footage.color_tags import refuse_tag
from layert2v_engine.image.footage.info import FootageInfo, ImageFrame
from layert2v_engine.image.footage.png_header import is_animation
from layert2v_engine.image.footage.video import VideoOptions, open_video


class Clip(Protocol):
    """A video file or an image sequence; iterate over it for its frames, any number of times."""

    @property
    def path(self) -> Path:
        """The file, folder or pattern that it was opened from."""

    @property
    def info(self) -> FootageInfo:
        """What its files say."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed, followed or repaired so far."""

    def __iter__(self) -> Iterator[ImageFrame]: ...


def open_clip(
    source: str | Path,
    *,
    matrix: str | None = None,
    full_range: bool | None = None,
    fps: float | None = None,
    deinterlace: bool = False,
    colorspace: str = AUTO,
    may_have_gaps: bool = False,
) -> Clip:
    """Open a video file, a folder with one image sequence, or a pattern such as ``shot.####.png``.

    ``matrix`` (a name of ``yuv.MATRICES``) and ``full_range`` override what a video says. ``fps``
    is the rate that a variable one is resampled to. ``deinterlace`` makes whole frames of fields.
    ``colorspace`` other than ``AUTO`` lets footage through whose color tags are not followed, such
    as HDR video. ``may_have_gaps`` takes images that are numbered with gaps. Raises
    ``FootageError``.
    """
    path = Path(source)
    options = VideoOptions(matrix=matrix, full_range=full_range, fps=fps, deinterlace=deinterlace)
    clip = _open(path, options, may_have_gaps=may_have_gaps)
    if colorspace == AUTO:
        refuse_tag(clip.info.color, path)
    return clip


def find_clip(path: Path) -> Path:
    """Return the movie where a folder holds that alone, else ``path`` itself."""
    if path.is_dir() and not stills.find_images(path):
        files = [each for each in path.iterdir() if not each.name.startswith(".")]
        if len(files) == 1 and image_sequence.is_movie(files[0]):
            return files[0]
    return path


def _open(path: Path, options: VideoOptions, *, may_have_gaps: bool) -> Clip:
    images = stills.find_images(path)
    if len(images) == 1 and is_animation(images[0]):
        return open_video(images[0], options)
    if images:
        return stills.StillSequence(path, may_have_gaps=may_have_gaps)
    path = find_clip(image_sequence.find_existing(path))
    if not path.is_file():
        raise FootageError(
            f"There is no video or image sequence at {path}.",
            "Give a video file, a folder of images, or a pattern such as shot.####.png; images are "
            f"of these kinds: {', '.join(sorted(image_sequence.IMAGE_SUFFIXES))}.",
            reason="FOOTAGE_NOT_FOUND",
        )
    return open_video(path, options)
