"""The sprites of the world as plain data: what they are called, how they move, which picture.

Pictures are named by code point, as in the package they come from; nearly all of them look left.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Sprite:
    """One picture that moves as a whole. ``size`` is the share of the frame (width, height)."""

    name: str
    synonyms: tuple[str, ...]
    picture: str
    action: str
    size: tuple[float, float]
    painted: bool = False
    looks_right: bool = False


def _sprites(
    action: str, size: tuple[float, float], *rows: tuple[str, ...], painted: bool = False
) -> tuple[Sprite, ...]:
    """Return sprites from rows of picture, name and synonyms."""
    return tuple(
        Sprite(
            name=name, synonyms=tuple(synonyms), picture=picture, action=action, size=size,
            painted=painted, looks_right=name == "rocket",
        )
        for picture, name, *synonyms in rows
    )  # fmt: skip


SPRITES: tuple[Sprite, ...] = (
    *_sprites(
        "driving",
        (0.66, 0.56),
        ("1f68c", "bus", "city bus", "coach"),
        ("1f69a", "truck", "delivery truck", "lorry", "van"),
        ("1f692", "fire engine", "fire truck", "fire brigade"),
        ("1f691", "ambulance", "rescue car"),
        ("1f693", "police car", "patrol car", "squad car"),
        ("1f695", "taxi", "cab", "taxicab"),
        ("1f3ce-fe0f", "racing car", "race car", "formula one car"),
        ("1f682", "locomotive", "steam train", "steam engine", "train"),
        ("1f690", "minibus", "camper van", "minivan"),
        ("1f699", "jeep", "off-roader", "suv"),
        ("1f6fa", "rickshaw", "auto rickshaw", "tuk-tuk"),
    ),
    *_sprites(
        "driving",
        (0.60, 0.56),
        ("1f6fb", "pickup truck", "pickup", "flatbed"),
        ("1f69c", "tractor", "farm tractor"),
        ("1f6f5", "motor scooter", "scooter", "moped"),
        ("1f3cd-fe0f", "motorcycle", "motorbike", "racing bike"),
        ("1f6b2", "bicycle", "bike", "cycle"),
        painted=True,
    ),
    *_sprites("flying", (0.58, 0.42), ("1f681", "helicopter", "chopper"), painted=True),
    *_sprites(
        "flying",
        (0.54, 0.45),
        ("1f680", "rocket", "space rocket", "spaceship"),
        ("1f985", "eagle", "bald eagle", "hawk", "falcon"),
        ("1f41d", "bee", "honeybee", "bumblebee", "wasp"),
        ("1f98b", "butterfly", "orange butterfly", "moth"),
        ("1f987", "bat", "brown bat", "vampire bat"),
        ("1f54a-fe0f", "dove", "white dove", "pigeon"),
        ("1f409", "dragon", "chinese dragon", "green dragon"),
    ),
    *_sprites("floating", (0.40, 0.50), ("1f388", "balloon", "toy balloon"), painted=True),
    *_sprites(
        "floating",
        (0.50, 0.48),
        ("1f6f8", "flying saucer", "ufo", "alien spacecraft"),
        ("1fa81", "kite", "paper kite"),
        ("1fa82", "parachute", "parachutist", "skydiver"),
        ("1f47b", "ghost", "friendly ghost", "phantom", "spook"),
        ("1f419", "octopus", "orange octopus", "squid"),
    ),
    *_sprites(
        "tumbling",
        (0.36, 0.42),
        ("26bd", "soccer ball", "football", "ball"),
        ("1f3c0", "basketball", "orange ball"),
        ("1f3d0", "volleyball", "white ball"),
        ("1f369", "doughnut", "donut"),
        ("1f6de", "wheel", "wagon wheel", "cartwheel"),
    ),
    *_sprites(
        "hopping",
        (0.58, 0.58),
        ("1f99b", "hippopotamus", "hippo"),
        ("1f9a3", "mammoth", "woolly mammoth"),
        ("1f9ac", "bison", "buffalo"),
        ("1f98d", "gorilla", "silverback", "ape"),
        ("1f995", "brontosaurus", "long-necked dinosaur", "sauropod"),
        ("1f999", "llama", "alpaca"),
        ("1f410", "goat", "billy goat"),
        ("1f429", "poodle", "fluffy poodle"),
    ),
    *_sprites(
        "hopping",
        (0.48, 0.52),
        ("1f43f-fe0f", "squirrel", "chipmunk"),
        ("1f994", "hedgehog", "prickly hedgehog", "porcupine"),
        ("1f9a8", "skunk", "striped skunk"),
        ("1f9ab", "beaver", "brown beaver"),
        ("1f40c", "snail", "garden snail"),
        ("1f9a2", "swan", "white swan"),
        ("1f9a9", "flamingo", "pink flamingo"),
        ("1f99a", "peacock", "peafowl"),
        ("1f983", "turkey", "turkey cock"),
        ("1f424", "chick", "baby chick", "yellow chick"),
        ("1f99c", "parrot", "macaw", "cockatoo"),
        ("1f989", "owl", "brown owl"),
        ("1f401", "mouse", "grey mouse", "rat"),
        ("1f412", "monkey", "chimpanzee", "chimp"),
        ("1f9ad", "seal", "grey seal", "sea lion"),
        ("1f980", "crab", "red crab"),
        ("1f9f8", "teddy bear", "teddy", "stuffed bear"),
        ("26c4", "snowman", "frosty snowman"),
        ("1f47e", "alien", "purple alien", "space invader"),
        ("1f383", "pumpkin", "jack-o-lantern"),
        ("1f344", "mushroom", "toadstool"),
        ("1f381", "present", "gift", "wrapped present"),
    ),
)
