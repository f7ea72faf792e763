"""The words of the world as plain data: what can be shown, and what people may call it.

Knows names and synonyms only; needs no numpy and no torch, so prompt planning can read it anywhere.
The first two synonyms of a word (``Word.spoken``) also occur in training captions. Words are only
ever appended: their positions are what labels and the held-out rule are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from layert2v_engine.world.text.sprite_words import SPRITES


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One thing the world can show: its canonical name and other names for it."""

    name: str
    synonyms: tuple[str, ...] = ()

    @property
    def caption_names(self) -> tuple[str, ...]:
        """The names used in captions, canonical first."""
        return (self.name, *self.synonyms[:2])


def _word(name: str, *synonyms: str) -> Word:
    return Word(name=name, synonyms=synonyms)


SUBJECTS: tuple[Word, ...] = (
    _word("fox", "red fox", "vixen", "foxy"),
    _word("bear", "brown bear", "grizzly", "grizzly bear", "bruin"),
    _word("horse", "stallion", "pony", "mare", "mustang", "steed"),
    _word("elephant", "african elephant", "tusker", "pachyderm"),
    _word("rabbit", "bunny", "hare", "bunny rabbit"),
    _word("penguin", "emperor penguin", "king penguin"),
    _word("giraffe", "tall giraffe", "spotted giraffe", "camelopard"),
    _word("car", "automobile", "vehicle", "sedan", "motorcar", "hatchback"),
    _word("deer", "stag", "buck", "reindeer", "elk"),
    _word("cow", "dairy cow", "spotted cow", "bull", "cattle", "ox"),
    _word("cat", "kitten", "tabby cat", "kitty", "pussycat"),
    _word("lion", "male lion", "maned lion", "big cat"),
    _word("zebra", "striped zebra", "plains zebra"),
    _word("camel", "dromedary", "desert camel"),
    _word("pig", "piglet", "pink pig", "hog", "swine"),
    _word("dog", "puppy", "beagle", "hound", "doggy"),
    _word("wolf", "grey wolf", "timber wolf", "coyote"),
    _word("tiger", "striped tiger", "bengal tiger", "tigress"),
    _word("sheep", "lamb", "woolly sheep", "ewe", "ram"),
    _word("rhinoceros", "rhino", "horned rhino"),
    _word("turtle", "tortoise", "green turtle"),
    _word("crocodile", "alligator", "green crocodile", "gator", "croc"),
    _word("kangaroo", "wallaby", "brown kangaroo"),
    _word("ostrich", "running bird", "emu"),
    _word("chicken", "hen", "white hen", "rooster"),
    _word("duck", "mallard", "drake", "duckling"),
    _word("dinosaur", "tyrannosaur", "green dinosaur", "t-rex", "dino"),
    *(Word(name=sprite.name, synonyms=sprite.synonyms) for sprite in SPRITES),
)

# Positions of the subjects that are one picture each; the others are bodies that walk.
SPRITE_INDICES = range(len(SUBJECTS) - len(SPRITES), len(SUBJECTS))

PLACES: tuple[Word, ...] = (
    _word(
        "snowy forest",
        "snow-covered forest",
        "winter forest",
        "snowy woods",
        "winter woods",
        "snow",
    ),
    _word("forest", "woods", "woodland", "trees", "grove", "jungle"),
    _word("desert", "sand dunes", "sandy desert", "dunes", "sahara"),
    _word("beach", "seaside", "sandy beach", "shore", "seashore", "coast", "sea"),
    _word("meadow", "grassy field", "green meadow", "field", "pasture", "grassland", "hills"),
    _word("city street", "downtown street", "street", "downtown", "city", "road", "town"),
    _word("mountain lake", "lake", "lakeside", "lake shore"),
    _word("red canyon", "canyon", "desert canyon", "gorge", "mesa"),
    _word("village", "small village", "country village", "hamlet"),
    _word("moon", "lunar surface", "moonscape", "surface of the moon"),
    _word("autumn forest", "fall forest", "autumn woods", "autumn leaves"),
    _word("savanna", "african savanna", "dry grassland", "savannah", "steppe"),
    _word("polar ice", "arctic ice", "ice field", "arctic", "antarctica", "icebergs"),
    _word("farm", "farmyard", "country farm", "barn", "ranch"),
)

TIMES: tuple[Word, ...] = (
    _word(
        "sunny day", "clear day", "bright day", "daytime", "daylight", "noon", "sunshine", "sunny"
    ),
    _word("sunset", "dusk", "sundown", "evening", "twilight", "golden hour"),
    _word("night", "midnight", "moonlight", "nighttime", "moonlit"),
    _word("overcast day", "cloudy day", "grey day", "overcast", "cloudy", "gloomy"),
    _word("dawn", "sunrise", "daybreak", "early morning", "first light"),
    _word("rain", "pouring rain", "rainy day", "rainstorm", "rainy", "downpour"),
    _word("snowfall", "falling snow", "snowstorm", "blizzard", "snowing"),
)

ACTIONS: tuple[Word, ...] = (
    _word("running", "racing", "sprinting", "galloping", "dashing", "rushing"),
    _word("walking", "strolling", "wandering", "waddling", "ambling", "marching"),
    _word("hopping", "bouncing", "jumping", "leaping", "bounding"),
    _word("driving", "cruising", "rolling", "speeding", "moving"),
    _word("flying", "soaring", "gliding", "fluttering"),
    _word("floating", "hovering", "drifting"),
    _word("tumbling", "rolling along", "spinning"),
)

COLORS: tuple[Word, ...] = (
    _word("red", "crimson", "scarlet"),
    _word("blue", "azure", "cobalt", "navy"),
    _word("yellow", "golden", "amber"),
    _word("green", "emerald", "lime green"),
    _word("white", "snow-white", "ivory"),
)

_WALK_AND_RUN = ("walking", "running")

# What each subject can do, most natural first; same order as SUBJECTS.
ABILITIES: tuple[tuple[str, ...], ...] = (
    ("running", "walking"),
    _WALK_AND_RUN,
    ("running", "walking"),
    _WALK_AND_RUN,
    ("hopping", "running"),
    ("walking",),
    _WALK_AND_RUN,
    ("driving",),
    *[_WALK_AND_RUN] * 4,
    ("running", "walking"),
    *[_WALK_AND_RUN] * 3,
    ("running", "walking"),
    *[_WALK_AND_RUN] * 3,
    ("walking",),
    ("walking",),
    ("hopping", "running"),
    ("running", "walking"),
    *[_WALK_AND_RUN] * 3,
    *((sprite.action,) for sprite in SPRITES),
)

# Subjects that come in the COLORS; all others have one natural color.
PAINTED: tuple[str, ...] = ("car", *(sprite.name for sprite in SPRITES if sprite.painted))


def is_painted(subject: int) -> bool:
    """Return whether the subject is offered in each of ``COLORS``."""
    return SUBJECTS[subject].name in PAINTED


HEADINGS = ("left", "right")
SPOTS = ("left", "middle", "right")
DISTANCES = ("far", "near", "close")  # "close": one subject fills the frame
CAMERAS = ("still", "follow", "push")


def _positions(names: tuple[str, ...], words: tuple[Word, ...]) -> tuple[int, ...]:
    order = [word.name for word in words]
    return tuple(order.index(name) for name in names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The part of the world that a model learns, by names; ``foregrounds`` are the counts shown."""

    subjects: tuple[str, ...] = tuple(word.name for word in SUBJECTS)
    places: tuple[str, ...] = tuple(word.name for word in PLACES)
    times: tuple[str, ...] = tuple(word.name for word in TIMES)
    colors: tuple[str, ...] = field(
        default=tuple(word.name for word in COLORS), metadata={"stored": "colours"}
    )
    foregrounds: tuple[int, ...] = (1, 2, 3)
    headings: tuple[str, ...] = HEADINGS
    spots: tuple[str, ...] = SPOTS
    distances: tuple[str, ...] = ("far", "near")
    cameras: tuple[str, ...] = CAMERAS

    def to_dict(self) -> dict[str, tuple[str, ...] | tuple[int, ...]]:
        """Return plain data for ``from_dict``, under the names that files use."""
        values = asdict(self)
        return {
            entry.metadata.get("stored", entry.name): values[entry.name] for entry in fields(self)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Iterable[Any]]) -> Selection:
        """Return the selection of plain data that ``to_dict`` returned, or JSON made of it."""
        names = {entry.metadata.get("stored", entry.name): entry.name for entry in fields(cls)}
        return cls(**{names[key]: tuple(value) for key, value in values.items()})

    @property
    def subject_indices(self) -> tuple[int, ...]:
        return _positions(self.subjects, SUBJECTS)

    @property
    def place_indices(self) -> tuple[int, ...]:
        return _positions(self.places, PLACES)

    @property
    def time_indices(self) -> tuple[int, ...]:
        return _positions(self.times, TIMES)

    @property
    def color_indices(self) -> tuple[int, ...]:
        return _positions(self.colors, COLORS)


# What Mini v0 learned: one large subject that heads right in the middle, the camera following it.
V0 = Selection(
    subjects=tuple(word.name for word in SUBJECTS[:8]),
    places=tuple(word.name for word in PLACES[:6]),
    times=tuple(word.name for word in TIMES[:4]),
    colors=tuple(word.name for word in COLORS[:3]),
    foregrounds=(1,),
    headings=("right",),
    spots=("middle",),
    distances=("close",),
    cameras=("follow",),
)
V1 = Selection()


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What a clip shows: indices into the words (color -1: natural) and the name of an action."""

    subject: int
    place: int
    time: int
    color: int = -1
    action: str = "walking"


def is_possible(place: int, time: int) -> bool:
    """Return whether a place has a time: there is no weather on the moon."""
    return PLACES[place].name != "moon" or TIMES[time].name in ("sunny day", "sunset", "night")


def is_held_out(subject: int, place: int, time: int) -> bool:
    """Return whether a combination, about one in ten, is kept out of training.

    It is one to test composition with.
    """
    return (3 * subject + 5 * place + 7 * time) % 10 == 0


def all_labels(selection: Selection = V0) -> tuple[Label, ...]:
    """Return the labels of all single subjects that a selection of the world can show."""
    return tuple(
        Label(subject=s, place=p, time=t, color=c, action=a)
        for s in selection.subject_indices
        for p in selection.place_indices
        for t in selection.time_indices
        if is_possible(p, t)
        for c in (selection.color_indices if is_painted(s) else (-1,))
        for a in ABILITIES[s]
    )
