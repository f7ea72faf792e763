#!/usr/bin/env python3
"""Data sets whose layers are known, and how near to them come data sets built of their footage.

``world`` and ``rendered`` write clips with true layers, read by ``layout.toml``; their footage
alone is in ``OUT/full``. After ``layert2v-engine vidlayer build OUT/full --out BUILT``, ``compare
BUILT OUT`` prints matte, background and shadow of kept and rejected clips against the truth, their
distributions, and which scores of the inspection go with these errors.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional

from layert2v_engine.decompose.splitter.network import linear_values
from layert2v_engine.evaluation.decompose.measures import mean_iou, shadow_errors
from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.metrics.layers import psnr
from layert2v_engine.metrics.video_matting import video_matting_errors
from layert2v_engine.training.splitter.frames import HeldOut, rendered_clips, world_clips
from layert2v_engine.vidlayer.cut import layer_files
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.readers import LayeredSample, open_data_set, read_sample
from layert2v_engine.vidlayer.state import ClipState, clip_states
from layert2v_engine.world.dataset import TEST_SEED

LAYOUT = "".join(
    f'{name} = "{name}/{{clip}}.mkv"\n'
    for name in ("full", "background", "matte", "color", "shadow")
)
FPS = 24.0
COLUMNS = ("iou", "MAD", "MSE", "dtSSD", "plate_db", "shadow_error", "adds_up_db")
RANKED = ("iou", "MAD", "plate_db", "shadow_error")
_FEWEST_RANKED = 10
_COVERED = 0.02  # opacity from which the background counts as hidden


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("world", "a world's folder"), ("rendered", "folder of clips")):
        command = commands.add_parser(name, help=f"write clips of {what}")
        command.add_argument("source", type=Path, help=what)
        command.add_argument("out", type=Path)
        command.add_argument("--clips", type=int, default=40)
        command.add_argument("--first", type=int, default=0, help="number of the first clip")
        command.add_argument("--frames", type=int, default=6)
        command.add_argument("--height", type=int, help="of the pictures; default: as they are")
        command.add_argument(
            "--known", action="store_true", help="places and subjects that are not held out"
        )
    compare = commands.add_parser("compare", help="compare a built data set with the truth")
    compare.add_argument("built", type=Path)
    compare.add_argument("truth", type=Path)
    args = parser.parse_args()
    if args.command == "compare":
        print_comparison(args.built, args.truth)
        return
    clips = world(args) if args.command == "world" else rendered_clips(args.source)
    chosen = islice(clips, None if args.command == "world" else args.first, None)
    for number, (planes, _) in enumerate(islice(chosen, args.clips)):
        name = f"{args.command}_{args.first + number:04d}"
        planes = planes[: args.frames].float()
        if args.height:
            size = args.height, round(planes.shape[-1] * args.height / planes.shape[-2])
            planes = functional.interpolate(planes, size, mode="area")
        write_clip(args.out, name, planes, args.command == "rendered")
    (args.out / "layout.toml").write_text(LAYOUT)
    print(args.out)


def world(args: argparse.Namespace) -> Iterator[tuple[Tensor, str]]:
    """Yield clips of the world."""
    base = 20_000_000 if args.known else TEST_SEED
    return world_clips(
        args.source, HeldOut(), first_seed=base + args.first, count=args.clips,
        frames=args.frames, is_test=not args.known,
    )  # fmt: skip


def write_clip(out: Path, name: str, planes: Tensor, is_linear: bool) -> None:
    """Write a clip [T, 8, H, W]: source and background (3 each), alpha, shadow."""
    pictures = [planes[:, :3], planes[:, 3:6]]
    if is_linear:
        pictures = [encode_srgb(linear_values(each).clamp(0, 1)) for each in pictures]
    full, background, matte, shadow = (
        (each.clamp(0, 1) * 255).round() / 255
        for each in (*pictures, planes[:, 6:7], planes[:, 7:8])
    )
    below = decode_srgb(background) * (1 - shadow)
    color = (decode_srgb(full) - below * (1 - matte)) / matte.clamp_min(1 / 255) * (matte > 0)
    layers = {"full": full, "background": background, "matte": matte, "shadow": shadow,
              "color": encode_srgb(color.clamp(0, 1))}  # fmt: skip
    for layer, video in layers.items():
        pixels = (video * 255).round().byte().movedim(1, -1).numpy()
        path = out / layer / f"{name}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_lossless(path, pixels[..., 0] if pixels.shape[-1] == 1 else pixels, FPS)


@dataclass(frozen=True)
class ComparedClip:
    """One clip of a built data set: its errors against the truth, and what inspection said."""

    name: str
    group: str
    errors: dict[str, float]
    scores: dict[str, float]
    reasons: list[str]


def print_comparison(built: Path, truth: Path) -> None:
    """Print the clips of a built data set against the truth, kept beside rejected."""
    clips = compare_clips(built, truth)
    for clip in clips:
        if clip.errors:
            values = ", ".join(f"{key} {value:.3g}" for key, value in clip.errors.items())
            print(f"{clip.name}: {values}; {', '.join(clip.reasons) or 'kept'}")
    groups: dict[str, list[ComparedClip]] = defaultdict(list)
    for clip in clips:
        groups[clip.group].append(clip)
    print_correlations([clip for clip in clips if clip.errors])
    print_spread(groups)
    print(f"\n{'':9} clips " + " ".join(f"{key:>14}" for key in COLUMNS))
    for group, each in groups.items():
        cells = [[clip.errors[key] for clip in each if key in clip.errors] for key in COLUMNS]
        means = [f"{statistics.mean(cell):14.3f}" if cell else f"{'-':>14}" for cell in cells]
        print(f"{group:9} {len(each):5} " + " ".join(means))


def compare_clips(built: Path, truth: Path) -> list[ComparedClip]:
    """Return the clips of a built data set, those without layers too, with no errors."""
    known = {each.name: each for each in open_data_set(truth).samples}
    found = []
    for state in clip_states(built):
        name = Path(state.read("clip").get("source", "")).stem
        if name not in known or not state.is_done("inspect"):
            found.append(ComparedClip(name, "no layers", {}, {}, []))
            continue
        inspection = state.read("inspect")
        errors = measure(sample_of(state), read_sample(known[name]))
        errors["adds_up_db"] = inspection["scores"]["recomposition_psnr_db"]
        reasons = [each.partition(":")[0] for each in inspection.get("reasons", [])]
        group = "rejected" if state.is_out else "kept"
        found.append(ComparedClip(name, group, errors, inspection["scores"], reasons))
    return found


def print_spread(groups: Mapping[str, list[ComparedClip]]) -> None:
    """Print how the errors of kept and rejected clips are distributed: 10, 50 and 90 %."""
    print(f"\n{'10, 50, 90 %':12} " + " ".join(f"{key:>20}" for key in COLUMNS))
    for group, clips in groups.items():
        cells = [[clip.errors[key] for clip in clips if key in clip.errors] for key in COLUMNS]
        if all(cells):
            tenths = [np.percentile(cell, (10, 50, 90)) for cell in cells]
            print(f"{group:12} " + " ".join(f"{'{:.3g} {:.3g} {:.3g}'.format(*each):>20}"
                                            for each in tenths))  # fmt: skip


def print_correlations(clips: list[ComparedClip]) -> None:
    """Print the rank correlation (Spearman) of each score with the errors it should tell of."""
    if len(clips) < _FEWEST_RANKED:
        return
    print("\nrank correlation of each score with " + ", ".join(RANKED))
    for score in sorted(set.intersection(*(set(clip.scores) for clip in clips))):
        values = [clip.scores[score] for clip in clips]
        if min(values) < max(values):
            ranks = [rank_correlation(clips, score, key) for key in RANKED]
            print(f"{score:30} " + " ".join(f"{rank:7.2f}" for rank in ranks))


def rank_correlation(clips: list[ComparedClip], score: str, error: str) -> float:
    """Return it over the clips that have the error: without a true shadow there is none of it."""
    pairs = [(clip.scores[score], clip.errors[error]) for clip in clips if error in clip.errors]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def measure(sample: LayeredSample, truth: LayeredSample) -> dict[str, float]:
    """Return the errors of a sample, as ``layert2v-engine evaluate decompose`` names them.

    ``plate_db`` is the PSNR of the background where the subject or its shadow hides it.
    """
    frames = len(sample.full)
    layer, true = sample.foregrounds[-1], truth.foregrounds[-1]
    matte, alpha = layer.matte[:, 0], true.matte[:frames, 0]
    cast, shadow = (
        (each.matte * 0 if each.shadow is None else each.shadow)[:frames, 0]
        for each in (layer, true)
    )
    errors = video_matting_errors(matte, alpha)
    hidden = ((alpha > _COVERED) | (shadow > _COVERED))[:, None].expand_as(sample.full)
    return {
        "iou": mean_iou(matte, alpha),
        **{key: float(value) for key, value in errors.items()},
        "plate_db": psnr(sample.background[hidden], truth.background[:frames][hidden]),
        **shadow_errors(cast, shadow, alpha),
    }


def sample_of(state: ClipState) -> LayeredSample:
    """Return the layers of a clip of a built data set, kept or not."""
    return read_sample(layer_files(state, state.read("cut")["foregrounds"]))


if __name__ == "__main__":
    main()
