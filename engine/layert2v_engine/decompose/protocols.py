"""What each stage of a decomposition takes and gives; a stronger network is one class that fits.

Pictures for networks are display-referred sRGB, 8 bit. Light is scene-linear float32 in the
footage's own primaries, with values above 1 where it is bright.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    Frames,
    Size,
    WritableFrames,
)

if TYPE_CHECKING:
    from layert2v_engine.decompose.subjects.hints import SubjectHints


class SplitLayers(NamedTuple):
    """What covers and what darkens the plate, both ``[T, H, W]`` in 0..1."""

    alpha: FloatArray
    shadow: FloatArray


class Splitter(Protocol):
    """Finds matte and shadow between footage and clean plate.

    ``is_temporal`` tells whether what it says of a frame depends on other frames. Only such a one
    is given windows of several frames, which overlap and are blended.
    """

    @property
    def is_temporal(self) -> bool:
        """Whether frames of a window depend on one another."""

    def split(self, source: FloatArray, plate: FloatArray, mask: FloatArray) -> SplitLayers:
        """Return alpha and shadow of a window of frames, whatever their number.

        ``source`` and ``plate`` are ``[T, H, W, 3]``, scene-linear; the plate is aligned. ``mask``
        is ``[T, H, W]`` in 0..1 and rough. ``shadow`` is the share of light that is taken from the
        background: a source under a shadow is ``plate * (1 - shadow)``.
        """

    def find_shadow(self, source: FloatArray, mask: FloatArray) -> FloatArray:
        """Return the shadow ``[T, H, W]`` that a subject casts, as far as the source alone tells.

        ``source`` and ``mask`` are those of ``split``. It tells what a clean plate is to be made
        for; 0 all over where only a plate can tell.
        """


class Box(NamedTuple):
    """A rectangle in pixels of a picture: left, top, and right, bottom just outside it."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Return the area in pixels, 0 for one turned inside out."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def clip(self, width: int, height: int) -> Box:
        """Return whole pixels inside a picture."""
        return Box(
            int(max(0, self.left)),
            int(max(0, self.top)),
            int(min(width, self.right)),
            int(min(height, self.bottom)),
        )


class Detection(NamedTuple):
    """An object that was recognized: what, how surely (0..1), and where."""

    label: str
    score: float
    box: Box


class SaliencyNetwork(Protocol):
    """Tells what a picture shows from what it shows it in front of."""

    def predict(self, picture: ByteArray) -> FloatArray:
        """Return the coverage ``[H, W]`` in 0..1 of what stands out in ``[H, W, 3]`` sRGB."""


class ObjectDetector(Protocol):
    """Recognizes objects of known kinds."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The kinds that it knows."""

    def detect(self, picture: ByteArray) -> list[Detection]:
        """Return the objects in ``[H, W, 3]`` sRGB, the surest first."""


class SubjectTracker(Protocol):
    """Finds a subject and follows it through a shot."""

    def find(
        self,
        pictures: Frames,
        hints: SubjectHints,
        masks: WritableFrames,
        on_frames: Callable[[int], None],
        on_first: Callable[[FloatArray], None],
    ) -> None:
        """Write the mask ``[T, h, w]`` in 0..1 of every frame into ``masks``.

        ``pictures`` are ``[T, h, w, 3]`` sRGB; either may lie on disk. ``on_frames`` takes how many
        are done, ``on_first`` the first mask. Raises ``FootageError`` where nothing is found.
        """


class RemovalFrames(NamedTuple):
    """A shot whose subjects are to be taken out: ``length`` frames of ``size``, in ``colorspace``.

    ``frame`` gives one by number ``[H, W, 3]``, scene-linear; ``hole`` where subjects are in it
    ``[h, w]``, at a size of its own.
    """

    length: int
    size: Size
    colorspace: str
    frame: Callable[[int], FloatArray]
    hole: Callable[[int], BoolArray]


class PlateRemover(Protocol):
    """Makes a clean plate of a whole shot at once."""

    @property
    def note(self) -> str:
        """What is to be said of the plates that it made last."""

    def plates(
        self, frames: RemovalFrames, on_progress: Callable[[float], None]
    ) -> Iterator[tuple[int, FloatArray]]:
        """Yield frames by number, in order, and their plates ``[H, W, 3]``, scene-linear.

        ``on_progress`` takes the share of the work that is done, 0..1, and may raise.
        """


class PlateFiller(Protocol):
    """Invents what was never seen."""

    def fill(self, picture: FloatArray, hole: BoolArray) -> FloatArray:
        """Return ``[H, W, 3]`` with the hole ``[H, W]`` filled; values are 0..1, as displayed."""
