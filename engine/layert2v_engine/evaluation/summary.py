"""The metrics of a model as one table, with their targets. Knows numbers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

PIXELS = 320 * 192 * 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: where its metric is, and its target, in words and as a test."""

    title: str
    group: str
    metric: str
    unit: str = "%"  # a share in 0..1 is shown in percent
    target: str = ""
    passes: Callable[[float], bool] | None = None
    within: float = 0.0  # of the same metric of scenes that were trained on, at most
    beside: str = ""  # shown only where this group has the metric, too
    full_size_only: bool = (
        False  # the target is for a request of PIXELS; a smaller one says nothing
    )


def _at_least(value: float) -> Callable[[float], bool]:
    return lambda metric: metric >= value


def _under(value: float) -> Callable[[float], bool]:
    return lambda metric: metric < value


TABLE = (
    Row(title="recomposition, PSNR", group="seen", metric="recomposition_psnr_db", unit="dB",
        target="at least 33 dB", passes=_at_least(33)),
    Row(title="subject", group="seen", metric="subject", target="90 %", passes=_at_least(0.9)),
    Row(title="subject by silhouette", group="seen", metric="subject_by_silhouette",
        target="90 %", passes=_at_least(0.9)),
    Row(title="heading", group="seen", metric="heading", target="95 %", passes=_at_least(0.95)),
    Row(title="the same of real clips", group="real", metric="heading", beside="seen"),
    Row(title="left, middle, right", group="seen", metric="spot", target="95 %",
        passes=_at_least(0.95)),
    Row(title="the same of real clips", group="real", metric="spot", beside="seen"),
    Row(title="place", group="seen", metric="place", target="95 %", passes=_at_least(0.95)),
    Row(title="time", group="seen", metric="time", target="95 %", passes=_at_least(0.95)),
    Row(title="subject, held-out scenes", group="held_out", metric="subject",
        target="within 10 points", within=0.1),
    Row(title="place, held-out scenes", group="held_out", metric="place",
        target="within 10 points", within=0.1),
    Row(title="time, held-out scenes", group="held_out", metric="time",
        target="within 10 points", within=0.1),
    Row(title="subject, two foregrounds", group="two", metric="subject_of_fg", target="85 %",
        passes=_at_least(0.85)),
    Row(title="the same of real clips of two", group="real_two", metric="subject_of_fg"),
    Row(title="two equal subjects, each in its layer", group="equal", metric="subject_of_fg"),
    Row(title="two equal subjects are two", group="equal", metric="apart"),
    Row(title="recomposition, two foregrounds", group="two", metric="recomposition_psnr_db",
        unit="dB", target="at least 31 dB", passes=_at_least(31)),
    Row(title="a subject in `bg`", group="seen", metric="figure_in_bg", target="under 3 %",
        passes=_under(0.03)),
    Row(title="scenery in `fg`", group="seen", metric="scenery_in_fg", target="under 3 %",
        passes=_under(0.03)),
    Row(title="matte, soft pixels", group="seen", metric="soft_pixel_share"),
    Row(title="matte, soft pixels of real clips", group="real", metric="soft_pixel_share"),
    Row(title="matte is one body", group="seen", metric="one_body_share", target="99.7 %",
        passes=_at_least(0.997)),
    Row(title="matte has no hole", group="seen", metric="no_hole_share", target="95.1 %",
        passes=_at_least(0.951)),
    Row(title="matte after a round trip, SAD", group="round_trip", metric="sad", unit="",
        target="0.21", passes=lambda x: x <= 0.21),
    Row(title="matte after a round trip, gradient", group="round_trip", metric="gradient",
        unit=""),
    Row(title="shadow against the darkening of `ref`, correlation", group="seen",
        metric="shadow_correlation", unit=""),
    Row(title="the same of real clips", group="real", metric="shadow_correlation", unit=""),
    Row(title="the first over the second", group="against_real",
        metric="shadow_correlation_ratio", unit="x", target="at least 0.9x",
        passes=_at_least(0.9)),
    Row(title="shadow within its caster's reach", group="seen", metric="shadow_under_actor"),
    Row(title="the same, two foregrounds", group="two", metric="shadow_correlation", unit=""),
    Row(title="the same of real clips of two", group="real_two", metric="shadow_correlation",
        unit=""),
    Row(title="the first over the second, two", group="two_against_real",
        metric="shadow_correlation_ratio", unit="x", target="at least 0.9x",
        passes=_at_least(0.9)),
    Row(title="comp, gradient energy against real clips", group="against_real",
        metric="gradient_comp_ratio", unit="x", target="0.85x to 1.15x",
        passes=lambda x: 0.85 <= x <= 1.15),  # more is noise
    Row(title="bg, gradient energy against real clips", group="against_real",
        metric="gradient_bg_ratio", unit="x", target="0.8x to 1.15x",
        passes=lambda x: 0.8 <= x <= 1.15),
    Row(title="fg, gradient energy against real clips", group="against_real",
        metric="gradient_fg_ratio", unit="x"),
    Row(title="comp, high-pass energy against real clips", group="against_real",
        metric="detail_comp_ratio", unit="x"),
    Row(title="bg, high-pass energy against real clips", group="against_real",
        metric="detail_bg_ratio", unit="x"),
    Row(title="fg, high-pass energy against real clips", group="against_real",
        metric="detail_fg_ratio", unit="x"),
    Row(title="comp, flicker against real clips, at equal sharpness", group="against_real",
        metric="flicker_comp_ratio", unit="x", target="within 1.5x", passes=lambda x: x <= 1.5),
    Row(title="matte, flicker against real clips, at equal sharpness", group="against_real",
        metric="flicker_matte_ratio", unit="x", target="within 1.5x", passes=lambda x: x <= 1.5),
    Row(title="seeds of one prompt differ by (RMS)", group="variety", metric="between_seeds",
        unit="", target="at least 0.07", passes=_at_least(0.07)),
    Row(title="nearest training clip (RMS)", group="variety", metric="to_training", unit=""),
    Row(title="the same of real clips it never saw", group="variety",
        metric="real_to_training", unit=""),
    Row(title="seconds, model in memory", group="cost", metric="warm_s", unit="s",
        target="20 s for 320 x 192 x 17", passes=lambda x: x <= 20, full_size_only=True),
    Row(title="seconds, command line", group="cost", metric="command_line_s", unit="s",
        target="25 s for 320 x 192 x 17", passes=lambda x: x <= 25, full_size_only=True),
    Row(title="seconds to the first preview", group="cost", metric="first_preview_s", unit="s",
        target="3 s for 320 x 192 x 17", passes=lambda x: x <= 3, full_size_only=True),
    Row(title="pixels of a clip", group="size", metric="megapixels", unit="M",
        target="1.04 M, 320 x 192 x 17", passes=_at_least(PIXELS / 1e6)),
    Row(title="memory", group="cost", metric="peak_memory_mb", unit="MB", target="under 3 GB",
        passes=_under(3000)),
    Row(title="size", group="size", metric="size_mb", unit="MB", target="under 60 MB",
        passes=_under(60)),
    Row(title="largest file", group="size", metric="largest_file_mb", unit="MB",
        target="under 15 MB", passes=_under(15)),
)  # fmt: skip


def markdown_table(groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return the metrics as a Markdown table, with the targets and whether they are met."""
    lines = ["| metric | value | target | met |", "| --- | --- | --- | --- |"]
    for row in TABLE:
        metric = groups.get(row.group, {}).get(row.metric)
        if metric is None or (row.beside and row.metric not in groups.get(row.beside, {})):
            continue
        is_met = _target_met(row, groups)
        lines.append(
            f"| {row.title} | {_format_value(metric, row.unit)} | {row.target} | {is_met} |"
        )
    return "\n".join(lines)


def _target_met(row: Row, groups: Mapping[str, Mapping[str, float]]) -> str:
    metrics = groups[row.group]
    passes = row.passes
    if row.within:
        seen = groups.get("seen", {}).get(row.metric)
        passes = None if seen is None else _at_least(seen - row.within)
    if passes is None:
        return ""
    if row.full_size_only and metrics["width"] * metrics["height"] * metrics["frames"] < PIXELS:
        return "asked for less"
    return "yes" if passes(metrics[row.metric]) else "**no**"


def _format_value(metric: float, unit: str) -> str:
    if unit == "%":
        return f"{metric:.1%}".replace("%", " %")
    return f"{metric:.3g} {unit}".strip()
