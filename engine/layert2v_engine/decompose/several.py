"""Several subjects of one shot: none is found twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, Frames, dilate
from layert2v_engine.decompose.plate.fill import extend
from layert2v_engine.errors import FootageError

_MARGIN = 0.015  # of the longer side: a rim that is left would still stand out
_SAME = 0.5  # intersection over union of the masks of a shot


class RemainingPictures:
    """The pictures of a shot ``[T, h, w, 3]`` with what was found painted over.

    ``masks`` are those of the subjects found. What is around them is continued smoothly, which
    has nothing that stands out.
    """

    def __init__(self, pictures: Frames, masks: Sequence[Frames]) -> None:
        self._pictures, self._masks = pictures, masks

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[ByteArray]:
        return (self._paint_over(index) for index in range(len(self)))

    def __getitem__(self, key: int | slice) -> ByteArray:
        """Return a picture, or several."""
        if isinstance(key, slice):
            return np.stack([self._paint_over(k) for k in range(*key.indices(len(self)))])
        return self._paint_over(key)

    def _paint_over(self, index: int) -> ByteArray:
        picture = np.asarray(self._pictures[index], np.float32)
        found = np.max([mask[index] for mask in self._masks], 0) > 0.3
        hole = dilate(found, max(2, round(_MARGIN * max(found.shape))))
        painted = extend(picture, (~hole).astype(np.float32))
        return np.where(hole[..., None], painted, picture).round().astype(np.uint8)


def check_distinct(masks: Sequence[Frames]) -> None:
    """Raise ``FootageError`` where the last subject is one of those before it."""
    *others, last = masks
    for number, other in enumerate(others, 1):
        shared = either = 0
        for first, second in zip(other, last, strict=True):
            shared += int(((first > 0.5) & (second > 0.5)).sum())
            either += int(((first > 0.5) | (second > 0.5)).sum())
        if shared > _SAME * either:
            raise FootageError(
                f"Subjects {number} and {len(masks)} are the same part of the picture.",
                "Show each with a box, a point or a matte, or ask for one subject less.",
                reason="SUBJECTS_COINCIDE",
            )
