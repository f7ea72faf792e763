"""The words of the world as plain data: what can be shown, and what people may call it.

Knows names and synonyms only; needs no numpy and no torch, so prompt planning can read it anywhere.
The first two synonyms of a word (`Word.spoken`) also occur in training captions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One thing the world can show: its canonical name and other names for it."""

    name: str
    synonyms: tuple[str, ...] = ()

    @property
    def spoken(self) -> tuple[str, ...]:
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
)

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
)

TIMES: tuple[Word, ...] = (
    _word(
        "sunny day", "clear day", "bright day", "daytime", "daylight", "noon", "sunshine", "sunny"
    ),
    _word("sunset", "dusk", "sundown", "evening", "twilight", "golden hour"),
    _word("night", "midnight", "moonlight", "nighttime", "moonlit"),
    _word("overcast day", "cloudy day", "grey day", "overcast", "cloudy", "gloomy"),
)

ACTIONS: tuple[Word, ...] = (
    _word("running", "racing", "sprinting", "galloping", "dashing", "rushing"),
    _word("walking", "strolling", "wandering", "waddling", "ambling", "marching"),
    _word("hopping", "bouncing", "jumping", "leaping", "bounding"),
    _word("driving", "cruising", "rolling", "speeding", "moving"),
)

COLOURS: tuple[Word, ...] = (
    _word("red", "crimson", "scarlet"),
    _word("blue", "azure", "cobalt", "navy"),
    _word("yellow", "golden", "amber"),
)

# What each subject can do, most natural first; same order as SUBJECTS.
ABILITIES: tuple[tuple[str, ...], ...] = (
    ("running", "walking"),
    ("walking", "running"),
    ("running", "walking"),
    ("walking", "running"),
    ("hopping", "running"),
    ("walking",),
    ("walking", "running"),
    ("driving",),
)

# Subjects that come in the COLOURS; all others have one natural colour.
PAINTED: tuple[str, ...] = ("car",)


def is_painted(subject: int) -> bool:
    """Whether the subject is offered in each of COLOURS."""
    return SUBJECTS[subject].name in PAINTED


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What a clip shows: indices into the words (colour -1: natural) and the name of an action."""

    subject: int
    place: int
    time: int
    colour: int = -1
    action: str = "walking"


def is_held_out(subject: int, place: int, time: int) -> bool:
    """Whether this combination is kept out of training, to test composition (about one in ten)."""
    return (3 * subject + 5 * place + 7 * time) % 10 == 0


def labels() -> tuple[Label, ...]:
    """Everything the world can show."""
    return tuple(
        Label(subject=s, place=p, time=t, colour=c, action=a)
        for s in range(len(SUBJECTS))
        for p in range(len(PLACES))
        for t in range(len(TIMES))
        for c in (range(len(COLOURS)) if is_painted(s) else (-1,))
        for a in ABILITIES[s]
    )
