"""Renders a ``.nk`` graph from its EXR files with numpy, by the documented meaning of each node.

Independent of the plug-in: it knows classes, knobs and the rules by which Nuke names EXR channels.
A image is a mapping from channels such as ``rgba.red`` to float32 [H, W] over the whole format,
and the box inputs_of_group which it is black. Knobs that it does not know are errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from scipy import ndimage

from fakes.nk_reader import Node, Word

Plane = NDArray[np.float32]
Box = tuple[int, int, int, int]  # x, y, right, top of the rows as they are in the file

CHANNELS = ("red", "green", "blue", "alpha")
CHANNEL_ALIASES = {"r": "red", "red": "red", "g": "green", "green": "green",
           "b": "blue", "blue": "blue", "a": "alpha", "alpha": "alpha"}  # fmt: skip
IGNORED_KNOBS = {"name", "xpos", "ypos", "label", "tile_color", "note_font_size", "knobChanged",
           "postage_stamp", "z_order", "bdwidth", "bdheight"}  # fmt: skip
READ_KNOBS = {"file_type", "file", "format", "first", "last", "origfirst", "origlast", "origset",
           "raw", "colorspace", "disable"}  # fmt: skip


@dataclass(frozen=True)
class Image:
    channels: dict[str, Plane]
    box: Box
    shape: tuple[int, int]

    def plane(self, channel: str) -> Plane:
        return self.channels.get(channel, np.zeros(self.shape, np.float32))

    def rgba(self) -> NDArray[np.float32]:
        return self.layer("rgba")

    def layer(self, name: str) -> NDArray[np.float32]:
        return np.stack([self.plane(f"{name}.{channel}") for channel in CHANNELS], axis=-1)


@dataclass
class Evaluator:
    """``group`` is where expressions look, ``project`` the project's format [height, width]."""

    frame: int
    group: Node | None = None
    inputs_of_group: tuple[Image | None, ...] = ()
    project: tuple[int, int] = (0, 0)
    cache: dict[int, Image | None] = field(default_factory=dict)

    def render(self, node: Node | None) -> Image | None:
        if node is None:
            return None
        if id(node) not in self.cache:
            self.cache[id(node)] = self._render(node)
        return self.cache[id(node)]

    def _render(self, node: Node) -> Image | None:
        inputs = [self.render(one) for one in node.inputs]
        if node.cls == "Group":
            output = next(one for one in node.nodes if one.cls == "Output")
            return Evaluator(self.frame, node, tuple(inputs), self.project).render(output)
        if node.cls == "Input":
            number = int(text(node, "number", "0"))
            return self.inputs_of_group[number] if number < len(self.inputs_of_group) else None
        off = "disable" in node.knobs and bool(self.number(node.knobs["disable"]))
        if node.cls == "Read":
            assert not off, "what a disabled Read shows is not documented"
            return self.read(node)
        if off or node.cls in ("Output", "Dot", "NoOp"):
            check_knobs(node, set(node.knobs))
            return inputs[0]
        return getattr(self, node.cls.lower())(node, inputs)

    def number(self, word: Word) -> float:
        """Return a number, a boolean, or an expression of knobs of the group.

        It may have sums, comparisons with ``==``, ands and ors.
        """
        text = word.text.strip("{}") if word.kind == "braced" else word.text
        if text in ("true", "false"):
            return float(text == "true")
        if word.kind != "braced":
            return float(text)
        text = re.sub(r"parent\.(\w+)", lambda found: str(self.knob(found[1])), text)
        assert re.fullmatch(r"[\d.()|&=+\-]*", text), text
        words = text.replace("||", " or ").replace("&&", " and ")
        return float(eval(words))  # noqa: S307  # digits and operators only

    def knob(self, name: str) -> float:
        assert self.group is not None, "parent of the root"
        assert any(knob.name == name for knob in self.group.user_knobs), f"no knob {name}"
        word = self.group.knobs.get(name)
        return 0.0 if word is None else self.number(word)

    def read(self, node: Node) -> Image:
        check_knobs(node, READ_KNOBS)
        first, last = (int(node.knobs[name].text) for name in ("first", "last"))
        frame = min(max(self.frame, first), last)  # before and after hold
        return read_exr(Path(node.knobs["file"].text % frame))

    def merge2(self, node: Node, inputs: list[Image | None]) -> Image | None:
        check_knobs(node, {"operation", "bbox", "disable", "mix", "also_merge", "output"})
        below, above = inputs[0], inputs[1]
        if above is None or below is None:
            return below if above is None else above
        operation = text(node, "operation", "over")
        alpha, beta = above.plane("rgba.alpha"), below.plane("rgba.alpha")
        channels = dict(below.channels)  # other layers come from B
        for name in (f"rgba.{channel}" for channel in CHANNELS):
            a, b = above.plane(name), below.plane(name)
            channels[name] = {
                "over": lambda a=a, b=b: a + b * (1 - alpha),
                "under": lambda a=a, b=b: a * (1 - beta) + b,
                "stencil": lambda b=b: b * (1 - alpha),
                "multiply": lambda a=a, b=b: a * b,
                "plus": lambda a=a, b=b: a + b,
                "matte": lambda a=a, b=b: a * alpha + b * (1 - alpha),
            }[operation]()
        boxes = {"A": above.box, "B": below.box, "union": union_box(above.box, below.box)}
        return crop_to_box(replace(below, channels=channels), boxes[text(node, "bbox", "union")])

    def copy(self, node: Node, inputs: list[Image | None]) -> Image:
        pairs = {f"{side}{index}" for side in ("from", "to") for index in range(4)}
        check_knobs(node, pairs | {"disable"})
        below, above = inputs[0], inputs[1]
        assert below is not None
        assert above is not None
        channels = dict(below.channels)
        for index in range(4):
            source, target = text(node, f"from{index}", "none"), text(node, f"to{index}", "none")
            if "none" not in (source, target):
                channels[target] = above.plane(source)
        return crop_to_box(replace(below, channels=channels), union_box(above.box, below.box))

    def multiply(self, node: Node, inputs: list[Image | None]) -> Image | None:
        check_knobs(node, {"channels", "value", "disable"})
        if inputs[0] is None:
            return None
        assert text(node, "channels", "all") == "rgba"
        value = np.float32(self.number(node.knobs["value"]))
        scaled = {
            name: plane * value if name.startswith("rgba.") else plane
            for name, plane in inputs[0].channels.items()
        }
        return replace(inputs[0], channels=scaled)

    def colormatrix(self, node: Node, inputs: list[Image | None]) -> Image | None:
        """Evaluate rows of a matrix times red, green and blue; alpha stays."""
        check_knobs(node, {"matrix", "disable"})
        if inputs[0] is None:
            return None
        numbers = node.knobs["matrix"].text.replace("{", " ").replace("}", " ").split()
        color = [inputs[0].plane(f"rgba.{channel}") for channel in CHANNELS[:3]]
        channels = dict(inputs[0].channels)
        for channel, row in zip(CHANNELS, np.reshape(numbers, (3, 3)).astype(float), strict=False):
            mixed = sum(weight * plane for weight, plane in zip(row, color, strict=True))
            channels[f"rgba.{channel}"] = np.asarray(mixed, np.float32)
        return replace(inputs[0], channels=channels)

    def unpremult(self, node: Node, inputs: list[Image | None]) -> Image | None:
        check_knobs(node, {"disable"})
        return scale_color(inputs[0], divide=True)

    def premult(self, node: Node, inputs: list[Image | None]) -> Image | None:
        check_knobs(node, {"disable"})
        return scale_color(inputs[0], divide=False)

    def filtererode(self, node: Node, inputs: list[Image | None]) -> Image | None:
        """Evaluate a filter whose direction is documented and whose kernel is not: a square."""
        check_knobs(node, {"channels", "size", "filter", "disable"})
        size = self.number(node.knobs["size"])
        shrinks, window = size > 0, 2 * int(np.ceil(abs(size))) + 1
        filtered = ndimage.minimum_filter if shrinks else ndimage.maximum_filter
        return change_alpha(node, inputs[0], lambda alpha: filtered(alpha, window))

    def blur(self, node: Node, inputs: list[Image | None]) -> Image | None:
        """Evaluate a blur whose radius is documented and whose kernel is not: a Gaussian."""
        check_knobs(node, {"channels", "size", "disable"})
        sigma = self.number(node.knobs["size"]) / 2
        return change_alpha(node, inputs[0], lambda alpha: ndimage.gaussian_filter(alpha, sigma))

    def grade(self, node: Node, inputs: list[Image | None]) -> Image | None:
        """Evaluate ``((in - blackpoint) / (whitepoint - blackpoint)) ^ (1 / gamma)``, clamped."""
        check_knobs(
            node, {"channels", "blackpoint", "whitepoint", "gamma", "white_clamp", "disable"}
        )
        assert text(node, "white_clamp", "false") == "true"
        low, high, gamma = (
            np.float32(self.number(node.knobs[name]))
            for name in ("blackpoint", "whitepoint", "gamma")
        )
        return change_alpha(
            node,
            inputs[0],
            lambda alpha: np.clip((alpha - low) / (high - low), 0, 1) ** (1 / gamma),
        )

    def constant(self, node: Node, inputs: list[Image | None]) -> Image:
        check_knobs(node, {"channels", "color"})
        assert text(node, "channels", "all") == "rgba"
        values = [float(part) for part in node.knobs["color"].text.split()]
        planes = {
            f"rgba.{channel}": np.full(self.project, value, np.float32)
            for channel, value in zip(CHANNELS, values, strict=True)
        }
        return Image(planes, (0, 0, self.project[1], self.project[0]), self.project)

    def shuffle(self, node: Node, inputs: list[Image | None]) -> Image | None:
        """Evaluate the old Shuffle: ``in`` is a layer, red to alpha name what goes to ``out``."""
        check_knobs(node, {"in", "out", *CHANNELS, "disable"})
        if inputs[0] is None:
            return None
        source, target = text(node, "in", "rgba"), text(node, "out", "rgba")
        channels = dict(inputs[0].channels)
        for channel in CHANNELS:
            taken = text(node, channel, channel)
            constant = {"black": 0.0, "white": 1.0}.get(taken)
            channels[f"{target}.{channel}"] = (
                inputs[0].plane(f"{source}.{taken}")
                if constant is None
                else np.full(inputs[0].shape, constant, np.float32)
            )
        return replace(inputs[0], channels=channels)

    def crop(self, node: Node, inputs: list[Image | None]) -> Image | None:
        check_knobs(node, {"box", "disable"})
        if inputs[0] is None:
            return None
        x, y, right, top = (int(float(part)) for part in node.knobs["box"].text.split())
        return crop_to_box(inputs[0], (x, y, right, top))


def scale_color(image: Image | None, *, divide: bool) -> Image | None:
    """Divide color by alpha where there is any, or multiply it."""
    if image is None:
        return None
    alpha = image.plane("rgba.alpha")
    factor = np.divide(1, alpha, out=np.ones_like(alpha), where=alpha > 0) if divide else alpha
    color = {name: image.plane(name) * factor for name in (f"rgba.{c}" for c in CHANNELS[:3])}
    return replace(image, channels={**image.channels, **color})


def change_alpha(node: Node, image: Image | None, change: Callable[[Plane], Plane]) -> Image | None:
    assert text(node, "channels", "all") == "alpha"
    if image is None:
        return None
    changed = change(image.plane("rgba.alpha")).astype(np.float32)
    return replace(image, channels={**image.channels, "rgba.alpha": changed})


def text(node: Node, knob: str, default: str) -> str:
    return node.knobs[knob].text if knob in node.knobs else default


def check_knobs(node: Node, known: set[str]) -> None:
    own = {knob.name for knob in node.user_knobs}
    unknown = set(node.knobs) - known - IGNORED_KNOBS - own
    assert not unknown, f"{node.cls} {node.name} has knobs that nobody evaluates: {unknown}"


def union_box(one: Box, other: Box) -> Box:
    low, high = map(min, one[:2], other[:2]), map(max, one[2:], other[2:])
    return (*low, *high)  # type: ignore[return-value]


def crop_to_box(image: Image, box: Box) -> Image:
    """Black inputs_of_group the box."""
    inside = np.zeros(image.shape, bool)
    inside[max(box[1], 0) : box[3], max(box[0], 0) : box[2]] = True
    cut = {name: np.where(inside, plane, np.float32(0)) for name, plane in image.channels.items()}
    return replace(image, channels=cut, box=box)


def nuke_channel(name: str) -> str:
    """Nuke's name of an EXR channel: two dots split, digits in front go, the rest becomes ``_``."""
    pieces = [re.sub(r"[^A-Za-z0-9]", "_", re.sub(r"^\d+", "", one)) for one in name.split(".", 2)]
    pieces = [piece for piece in pieces if piece]
    channel = CHANNEL_ALIASES.get(pieces[-1].lower())
    layer = "_".join(pieces[:-1]) or "rgba"
    return f"{layer}.{channel or pieces[-1]}"


def read_exr(path: Path) -> Image:
    """One part, placed into its display window; black inputs_of_group its data window."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        header, channels = file.header(), file.channels()
        (left, low), (right, high) = (map(int, corner) for corner in header["displayWindow"])
        (x, y), (x_end, y_end) = (map(int, corner) for corner in header["dataWindow"])
        shape = (high - low + 1, right - left + 1)
        planes = {}
        for name, channel in channels.items():
            plane = np.zeros(shape, np.float32)
            rows, columns = slice(y - low, y_end - low + 1), slice(x - left, x_end - left + 1)
            plane[rows, columns] = np.asarray(channel.pixels, np.float32)
            planes[nuke_channel(name)] = plane
    return Image(planes, (x - left, y - low, x_end - left + 1, y_end - low + 1), shape)
