"""The request to turn footage into layers, and the one to refine a layer of such a stack.

Knows neither whether a request makes sense nor how it is carried out. Use it through
``layert2v.decompose``. Frames are the footage's own numbers; positions are pixels of the footage
at full size, from its upper left corner, y down. What is called a key names an input: a folder of
images or of one movie that comes with the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from layert2v.rerender import AUTO, Plate
from layert2v.spec import COMPRESSIONS

FOOTAGE = "footage"  # the key of the footage
# Ways to a stack that begin with footage; the first one needs nothing but the product.
RECIPES = ("decompose", "decompose+", "decompose+omnimatte", "decompose+rose")
# How video is read where its tags are not to be followed.
MATRICES = ("bt601", "bt709", "smpte240m", "bt2020")
COLOR_RANGES = ("limited", "full")
# In the folder of a stack that is being made: what an attempt that was killed had finished.
SCRATCH_FOLDER = ".decompose"


@dataclass(frozen=True)
class Box:
    """A rectangle around a subject on one frame; it may reach out of the picture."""

    frame: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Point:
    """A place on one frame that belongs to a subject, or does not."""

    frame: int
    x: float
    y: float
    is_subject: bool = True


@dataclass(frozen=True)
class SubjectSpec:
    """One subject: what the artist says about it. All of it may be empty: what is salient.

    ``words`` say what it is, such as "the dog". ``boxes`` and ``points`` are hints on frames.
    ``matte`` and ``scribble`` are keys of images, which belong to frames by their numbers. A
    ``matte`` is white where the subject is, gray where it is soft: with an image for every frame of
    the range it is used as it is, with fewer it is a hint. A ``scribble`` is white where the
    subject is, black where it is not, and says nothing where it is transparent, or without alpha at
    gray.
    """

    words: str = ""
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    matte: str = ""
    scribble: str = ""

    @property
    def has_hints(self) -> bool:
        """Whether it is shown where the subject is, at least on one frame."""
        return bool(self.boxes or self.points or self.matte or self.scribble)


@dataclass(frozen=True)
class Footage:
    """The footage: ``input`` is the key of its frames, sorted by name, or of one movie.

    ``colorspace`` is any OCIO space, ``alpha`` one of ``layert2v.rerender.ALPHAS``; both are as the
    files say where they are ``AUTO``. ``fps`` 0 is what they say. ``start_frame`` is the number of
    the first frame, None for that of its name, which is 1001 for a movie. ``matrix`` is one of
    ``MATRICES`` and ``color_range`` one of ``COLOR_RANGES``, or ``AUTO``; ``deinterlace`` makes
    whole frames of fields. These three are for movies, also for mattes and the clean plate.
    """

    input: str = FOOTAGE
    colorspace: str = AUTO
    alpha: str = AUTO
    fps: float = 0.0
    start_frame: int | None = None
    matrix: str = AUTO
    color_range: str = AUTO
    deinterlace: bool = False


@dataclass(frozen=True)
class DecomposeSpec:
    """A layer stack of footage, as the artist asks for it.

    ``subjects`` are those that become foregrounds, nearest first; without one, the main subject
    does. ``plate`` is the artist's own clean plate. ``first`` and ``last`` are the range of frames,
    None for the end of the footage; ``handles`` more frames are taken at both ends as far as there
    are any. ``scale`` above 0 to 1 makes smaller layers, for a look. ``colorspace`` is what the EXR
    files are written in: a linear space of OCIO, ``AUTO`` for the linear one with the primaries of
    the footage. ``name`` is the stack's; "" for that of the footage. ``compression`` is that of the
    files, one of ``layert2v.spec.COMPRESSIONS``. ``recipe`` is one of ``RECIPES``: which networks
    take part. Footage with cuts is refused; with ``ignore_cuts`` it is one shot, whatever looks
    like a cut in it.
    """

    subjects: tuple[SubjectSpec, ...] = ()
    footage: Footage = Footage()
    plate: Plate | None = None
    first: int | None = None
    last: int | None = None
    handles: int = 0
    scale: float = 1.0
    colorspace: str = AUTO
    name: str = ""
    compression: str = COMPRESSIONS[0]
    recipe: str = RECIPES[0]
    ignore_cuts: bool = False

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys of all inputs that come with the request, each once."""
        plates = (self.plate.input,) if self.plate is not None else ()
        return tuple(dict.fromkeys((self.footage.input, *plates, *self.hint_keys)))

    @property
    def hint_keys(self) -> tuple[str, ...]:
        """The keys of mattes and scribbles, which may be there for some frames only."""
        return tuple(key for each in self.subjects for key in (each.matte, each.scribble) if key)


@dataclass(frozen=True)
class RefineSpec:
    """Another matte for one foreground of a stack, whose layers are then solved again.

    ``layer`` is the foreground. ``matte`` is the key of images that are white where it is: one for
    each frame, or one that is held. Instead of it, ``points`` say where the layer's own matte is
    wrong: it is corrected around them, also on other frames. ``plate`` is a clean plate of the
    artist's own in place of what the stack's background shows. ``at`` is the state to start from, 0
    the newest. The layer and its shadow change, and the background under them; everything else
    stays. ``compression`` is that of new files. ``matrix``, ``color_range`` and ``deinterlace`` say
    how movies of the matte and the plate are read, as in ``Footage``.
    """

    layer: str
    matte: str = ""
    plate: Plate | None = None
    at: int = 0
    compression: str = COMPRESSIONS[0]
    matrix: str = AUTO
    color_range: str = AUTO
    deinterlace: bool = False
    points: tuple[Point, ...] = ()

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys of all inputs that come with the request, each once."""
        mattes = (self.matte,) if self.matte else ()
        plates = (self.plate.input,) if self.plate is not None else ()
        return tuple(dict.fromkeys((*mattes, *plates)))
