"""Draw the pictures of docs/swap_footage.md from a decomposed stack whose background was swapped.

    python scripts/swap_gallery.py STACK --frame 1005 --later 1009

The first state is the footage, the newest the swap. Also prints how well the light that the shadow
leaves of the old background is what it leaves of the new one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from layert2v.stack import Role, Stack, read, read_state
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import over
from layert2v_engine.stack.preview import (
    composite_on_checker,
    display_transform,
    load_frame,
    to_srgb_bytes,
)

WIDTH, GAP, MARGIN, LINE = 330, 8, 16, 20
GROUND, TEXT = "#15171a", "#e6e6e3"
# Where the shadow's share is measured: light enough for half floats, clear of the subject.
DARKEST, LEAST_SHADOW = 0.02, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", type=Path)
    parser.add_argument("--frame", type=int, required=True)
    parser.add_argument("--later", type=int, required=True, help="another frame of the swap")
    parser.add_argument("--out", type=Path, default=Path("docs/images/swap_footage.jpg"))
    args = parser.parse_args()
    before, after = read_state(args.stack, 1), read(args.stack)
    old, new = (load_layers(args.stack, stack, args.frame) for stack in (before, after))
    to_display = display_transform(after, ColorConfig.load())
    without = composite(after, {**new, **{name: 0 * new[name] for name in shadow_names(after)}})
    shadow = sum((new[name][..., 3:] for name in shadow_names(after)), torch.zeros(1))
    subject = composite(after, {**new, "bg": 0 * new["bg"], **dict.fromkeys(shadow_names(after))})
    cells = [
        ("the footage", composite(before, old)),
        ("its background", old["bg"]),
        ("its shadow, as opacity", shadow.expand(*shadow.shape[:2], 4)),
        ("its subject", composite_on_checker(subject)),
        ("another background", new["bg"]),
        ("the subject alone on it", without),
        ("with its shadow", composite(after, new)),
        (f"frame {args.later}", delivered_comp(args.stack, after, args.later)),
    ]
    write_sheet(args.out, [(text, to_srgb_bytes(pixels, to_display)) for text, pixels in cells])
    print(args.out)
    comps = [delivered_comp(args.stack, stack, args.frame) for stack in (before, after)]
    print(f"light left by the shadow: {compare_shadow(after, old, new, comps)}")


def load_layers(folder: Path, stack: Stack, frame: int) -> dict[str, Tensor]:
    """Return the layers of a frame, float ``[H, W, 4]``, premultiplied."""
    return {layer.name: load_frame(folder, layer, frame).float() for layer in stack.layers}


def delivered_comp(folder: Path, stack: Stack, frame: int) -> Tensor:
    comp = next(flat for flat in stack.flats if flat.name == "comp")
    return load_frame(folder, comp, frame).float()


def composite(stack: Stack, layers: dict[str, Tensor | None]) -> Tensor:
    """Return the over of the layers, from bottom to top; those that are None are left out."""
    found = [layers[layer.name] for layer in stack.layers]
    result = torch.zeros(1)
    for pixels in found:
        if pixels is not None:
            result = over(pixels, result) if result.ndim == 3 else pixels
    return result


def shadow_names(stack: Stack) -> list[str]:
    return [layer.name for layer in stack.layers if layer.role is Role.shadow]


def compare_shadow(
    stack: Stack, old: dict[str, Tensor], new: dict[str, Tensor], comps: list[Tensor]
) -> str:
    """Return how comp / background differs between both comps, in the shadow beside the subject."""
    alpha = composite(stack, {**new, "bg": None, **dict.fromkeys(shadow_names(stack))})[..., 3]
    shadow = sum((new[name][..., 3] for name in shadow_names(stack)), torch.zeros(1))
    place = (alpha == 0) & (shadow > LEAST_SHADOW)
    place &= (old["bg"][..., :3].amin(-1) > DARKEST) & (new["bg"][..., :3].amin(-1) > DARKEST)
    if not place.any():
        return "there is none beside the subject"
    light = [
        (comp[..., :3] / layers["bg"][..., :3])[place]
        for comp, layers in zip(comps, (old, new), strict=True)
    ]
    difference = (light[0] - light[1]).abs()
    return (
        f"{int(place.sum())} pixels, down to {light[1].min():.2f}; old and new differ by "
        f"{difference.median():.1e} in the median, {difference.max():.1e} at most"
    )


def write_sheet(path: Path, cells: list[tuple[str, object]]) -> None:
    """Write four pictures in a row, each with its caption above."""
    pictures = [(text, Image.fromarray(pixels)) for text, pixels in cells]
    height = round(WIDTH * pictures[0][1].height / pictures[0][1].width)
    columns, rows = 4, (len(pictures) + 3) // 4
    wide = 2 * MARGIN + columns * (WIDTH + GAP) - GAP
    high = 2 * MARGIN + rows * (LINE + height + GAP) - GAP
    sheet = Image.new("RGB", (wide, high), GROUND)
    draw = ImageDraw.Draw(sheet)
    for index, (text, picture) in enumerate(pictures):
        x = MARGIN + index % columns * (WIDTH + GAP)
        y = MARGIN + index // columns * (LINE + height + GAP)
        draw.text((x, y), text, fill=TEXT, font=ImageFont.load_default(14))
        sheet.paste(picture.resize((WIDTH, height), Image.Resampling.BICUBIC), (x, y + LINE))
    sheet.save(path, quality=88)


if __name__ == "__main__":
    main()
