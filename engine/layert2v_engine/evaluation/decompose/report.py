"""Measures of many clips as one table with its bars, as JSON and as contact sheets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from layert2v_engine.decompose.splitter.network import network_values
from layert2v_engine.evaluation.decompose.cases import Case
from layert2v_engine.evaluation.decompose.measures import Delivered, percentiles
from layert2v_engine.evaluation.decompose.splitter import HARD_MASK, SOFT_MASK, TRAINED
from layert2v_engine.metrics.contact_sheet import checkerboard, save_captioned

logger = logging.getLogger(__name__)

SHEET_ROWS = 8
COLUMNS = ("source", "bg", "fg over gray", "alpha", "shadow", "true alpha")
Values = Mapping[str, list[float]]


@dataclass(slots=True)
class Measurements:
    """Values of every clip, by group and metric."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    clips: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, group: str, clip: str, metrics: Mapping[str, float]) -> None:
        """Take in the metrics of one clip."""
        self.clips[f"{group}/{clip}"] = dict(metrics)
        for name, value in metrics.items():
            self.values.setdefault(group, {}).setdefault(name, []).append(value)

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return percentiles by group and metric."""
        return {
            group: {name: percentiles(each) for name, each in metrics.items()}
            for group, metrics in self.values.items()
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: a metric, which of its percentiles, and the bar."""

    title: str
    metric: str
    part: str = "median"
    bar: float | None = None
    is_ceiling: bool = False  # the bar is not to be passed
    digits: int = 2


ROWS = (
    Row(title="subject, IoU, nothing given", metric="iou", bar=0.85),
    Row(title="subject, IoU, one box", metric="boxed_iou"),
    Row(title="subject, IoU, one box and two clicks", metric="clicked_iou", bar=0.88),
    Row(title="alpha, MAD", metric="alpha_MAD"),
    Row(title="alpha, MSE", metric="alpha_MSE"),
    Row(title="alpha, SAD", metric="alpha_SAD"),
    Row(title="alpha, Grad", metric="alpha_Grad"),
    Row(title="alpha, Conn", metric="alpha_Conn"),
    Row(title="alpha, dtSSD", metric="alpha_dtSSD"),
    Row(title="shadow error, 1 is none written", metric="shadow_error", bar=0.4, is_ceiling=True),
    Row(title="shadow error, 90th percentile", metric="shadow_error", part="p90", bar=1.0,
        is_ceiling=True),
    Row(title="shadow error, one box", metric="boxed_shadow_error", bar=0.4, is_ceiling=True),
    Row(title="shadow error, one box, 90th percentile", metric="boxed_shadow_error", part="p90",
        bar=1.0, is_ceiling=True),
    Row(title="hidden background seen at some time, dB", metric="plate_db_seen", bar=32,
        digits=1),
    Row(title="hidden background never seen, dB", metric="plate_db_never_seen", digits=1),
    Row(title="moving camera, seen at some time, dB", metric="plate_db_seen_moving_camera", bar=32,
        digits=1),
    Row(title="moving camera, never seen, dB", metric="plate_db_never_seen_moving_camera",
        digits=1),
    Row(title="one box, seen at some time, dB", metric="boxed_plate_db_seen", bar=32, digits=1),
    Row(title="one box, moving camera, seen at some time, dB",
        metric="boxed_plate_db_seen_moving_camera", bar=32, digits=1),
    Row(title="worst error of `over`, half roundings", metric="mismatch_half_ulps", part="p90",
        bar=4, is_ceiling=True),
    Row(title="equal to the bit outside subject and effects", metric="equal_outside_effects",
        part="p10", bar=1.0, digits=4),
    Row(title="equal to the bit where no layer touches it", metric="equal_where_untouched",
        part="p10", bar=1.0, digits=4),
    Row(title="flicker of alpha, of the true one's", metric="flicker_alpha", bar=1.3,
        is_ceiling=True),
    Row(title="flicker of alpha, of the source's", metric="flicker_alpha_of_source", bar=1.3,
        is_ceiling=True),
    Row(title="flicker of the background, of the source's", metric="flicker_plate", bar=1.3,
        is_ceiling=True),
    Row(title="seconds a frame", metric="seconds_per_frame"),
)  # fmt: skip


def table(summary: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return the summary as Markdown: a column for each group, the bar last."""
    groups = list(summary)
    lines = [f"| measure | {' | '.join(groups)} | bar |", "| --- " * (len(groups) + 2) + "|"]
    for row in ROWS:
        cells = [_cell(row, summary[group]) for group in groups]
        if any(cells):
            lines.append(f"| {row.title} | {' | '.join(cells)} | {_bar(row)} |")
    counts = ", ".join(f"{group} {int(_clips(summary[group]))}" for group in groups)
    return "\n".join([*lines, "", f"Medians unless said otherwise; clips: {counts}.", ""])


def splitter_table(measures: Mapping[str, Mapping[str, Values]]) -> str:
    """Return what splitters do with corrupted plates and masks as Markdown, by group of clips.

    The last line of a group has the shares that are left of the errors of the better mask.
    """
    names = ("alpha_share", "MAD", "SAD", "MSE", "Grad", "Conn", "dtSSD", "shadow_error")
    lines = [
        f"| clips | from | {' | '.join(names)} | shadow p90 |",
        "| --- " * (len(names) + 3) + "|",
    ]
    for group, by_splitter in measures.items():
        for splitter, values in by_splitter.items():
            known = {name: percentiles(values[name]) for name in names if values.get(name)}
            cells = [f"{known[n]['median']:.3g}" if n in known else "-" for n in names]
            shadow = known.get("shadow_error")
            cells.append("-" if shadow is None else f"{shadow['p90']:.3g}")
            lines.append(f"| {group} | {splitter} | {' | '.join(cells)} |")
        if {TRAINED, HARD_MASK, SOFT_MASK} <= by_splitter.keys():
            shares = [_share_of_masks(by_splitter, name) for name in names]
            lines.append(f"| {group} | {TRAINED}, of the better mask | {' | '.join(shares)} | - |")
    return "\n".join([*lines, ""])


def _share_of_masks(by_splitter: Mapping[str, Values], metric: str) -> str:
    """Return the trained splitter's median as a share of the smaller one of the two masks."""
    medians = [
        percentiles(by_splitter[name][metric])["median"]
        for name in (TRAINED, SOFT_MASK, HARD_MASK)
        if by_splitter[name].get(metric)
    ]
    return f"{medians[0] / max(min(medians[1:]), 1e-9):.2f}" if len(medians) == 3 else "-"


def _cell(row: Row, metrics: Mapping[str, Mapping[str, float]]) -> str:
    if row.metric not in metrics:
        return ""
    value = metrics[row.metric][row.part]
    text = f"{value:.{row.digits}f}"
    if row.bar is None:
        return text
    is_met = value <= row.bar if row.is_ceiling else value >= row.bar
    return text if is_met else f"**{text}**"


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    return f"{'at most' if row.is_ceiling else 'at least'} {row.bar:g}"


def _clips(metrics: Mapping[str, Mapping[str, float]]) -> float:
    return max((each["clips"] for each in metrics.values()), default=0.0)


def sheet_row(case: Case, layers: Delivered) -> Tensor:
    """Return the pictures [6, 3, H, W] of a case's middle frame, as ``COLUMNS`` says."""
    t = len(layers.source) // 2
    alpha, shadow = layers.alpha[t], layers.shadow[t, 3]
    board = checkerboard(*alpha.shape)
    over = network_values(layers.foreground[t, :3]) + board * (1 - alpha)
    planes = [plane.expand(3, -1, -1) for plane in (alpha, shadow, case.alpha[t])]
    source, background = (network_values(x[t, :3]) for x in (layers.source, layers.background))
    return torch.stack([source, background, over, *planes]).clamp(0, 1)


def save_sheets(rows: Sequence[tuple[str, Tensor]], out: Path) -> None:
    """Write captioned rows of pictures as contact sheets, one per size of picture."""
    by_size: dict[tuple[int, ...], list[tuple[str, Tensor]]] = {}
    for caption, pictures in rows:
        by_size.setdefault(tuple(pictures.shape), []).append((caption, pictures))
    number = 0
    for same in by_size.values():
        for start in range(0, len(same), SHEET_ROWS):
            number += 1
            part = same[start : start + SHEET_ROWS]
            tiles, captions = [x for _, x in part], [c for c, _ in part]
            save_captioned(tiles, captions, COLUMNS, out / f"layers_{number}.png")


def write(
    out: Path,
    measurements: Measurements,
    splitters: Mapping[str, Mapping[str, Values]],
    notes: Iterable[str],
) -> str:
    """Write ``decompose.json`` and ``decompose.md`` into ``out``; return the Markdown."""
    summary = measurements.summary()
    by_splitter = {
        group: {
            name: {metric: percentiles(each) for metric, each in values.items()}
            for name, values in of_group.items()
        }
        for group, of_group in splitters.items()
    }
    found = {"summary": summary, "splitters": by_splitter, "clips": measurements.clips}
    (out / "decompose.json").write_text(json.dumps(found, indent=2) + "\n")
    parts = [table(summary)] if summary else []
    if splitters:
        parts.append(splitter_table(splitters))
    text = "\n".join([*parts, *(f"{note}\n" for note in notes)])
    (out / "decompose.md").write_text(text)
    return text
