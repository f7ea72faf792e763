"""The figures of a model as one table, with the bars they are held against. Knows numbers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

PIXELS = 256 * 256 * 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: where its figure is, the bar it is held against, in words and as a
    test.
    """

    title: str
    group: str
    figure: str
    unit: str = "%"  # a share in 0..1 is shown in percent
    bar: str = ""
    passes: Callable[[float], bool] | None = None
    whole: bool = False  # the bar is for a request of PIXELS; a smaller one says nothing


def _at_least(value: float) -> Callable[[float], bool]:
    return lambda figure: figure >= value


def _under(value: float) -> Callable[[float], bool]:
    return lambda figure: figure < value


TABLE = (
    Row(title="recomposition, PSNR", group="seen", figure="recomposition_psnr_db", unit="dB",
        bar="at least 30 dB", passes=_at_least(30)),
    Row(title="subject", group="seen", figure="subject", bar="80 %", passes=_at_least(0.8)),
    Row(title="subject by silhouette", group="seen", figure="subject_by_silhouette",
        bar="80 %", passes=_at_least(0.8)),
    Row(title="place", group="seen", figure="place", bar="95 %", passes=_at_least(0.95)),
    Row(title="time", group="seen", figure="time", bar="95 %", passes=_at_least(0.95)),
    Row(title="subject, held-out scenes", group="held_out", figure="subject",
        bar="within 10 points", passes=_at_least(0.7)),
    Row(title="place, held-out scenes", group="held_out", figure="place",
        bar="within 10 points", passes=_at_least(0.85)),
    Row(title="time, held-out scenes", group="held_out", figure="time",
        bar="within 10 points", passes=_at_least(0.85)),
    Row(title="subject, two foregrounds", group="two", figure="subject_of_fg"),
    Row(title="recomposition, two foregrounds", group="two", figure="recomposition_psnr_db",
        unit="dB"),
    Row(title="a figure in `bg`", group="seen", figure="figure_in_bg", bar="under 3 %",
        passes=_under(0.03)),
    Row(title="scenery in `fg`", group="seen", figure="scenery_in_fg", bar="under 3 %",
        passes=_under(0.03)),
    Row(title="matte, soft pixels", group="seen", figure="soft_pixel_share"),
    Row(title="matte, soft pixels of real clips", group="real", figure="soft_pixel_share"),
    Row(title="matte is one body", group="seen", figure="one_body_share"),
    Row(title="matte has no hole", group="seen", figure="no_hole_share"),
    Row(title="matte after a round trip, SAD", group="round_trip", figure="sad", unit=""),
    Row(title="matte after a round trip, gradient", group="round_trip", figure="gradient",
        unit=""),
    Row(title="shadow against the darkening of `ref`, correlation", group="seen",
        figure="shadow_correlation", unit="", bar="at least 0.8", passes=_at_least(0.8)),
    Row(title="the same of real clips", group="real", figure="shadow_correlation", unit=""),
    Row(title="shadow within its caster's reach", group="seen", figure="shadow_under_actor"),
    Row(title="comp, warping error against real clips", group="motion", figure="comp_ratio",
        unit="x", bar="within 1.5x", passes=lambda x: x <= 1.5),
    Row(title="matte, warping error against real clips", group="motion", figure="matte_ratio",
        unit="x", bar="within 1.5x", passes=lambda x: x <= 1.5),
    Row(title="seeds of one prompt differ by (RMS)", group="variety", figure="between_seeds",
        unit=""),
    Row(title="nearest training clip (RMS)", group="variety", figure="to_training", unit=""),
    Row(title="the same of real clips it never saw", group="variety",
        figure="real_to_training", unit=""),
    Row(title="seconds, model in memory", group="cost", figure="warm_s", unit="s",
        bar="20 s for 256 x 256 x 17", passes=lambda x: x <= 20, whole=True),
    Row(title="seconds, command line", group="cost", figure="command_line_s", unit="s",
        bar="30 s for 256 x 256 x 17", passes=lambda x: x <= 30, whole=True),
    Row(title="seconds to the first preview", group="cost", figure="first_preview_s", unit="s",
        bar="8 s", passes=lambda x: x <= 8),
    Row(title="memory", group="cost", figure="peak_memory_mb", unit="MB", bar="under 3 GB",
        passes=_under(3000)),
    Row(title="size", group="size", figure="size_mb", unit="MB", bar="under 60 MB",
        passes=_under(60)),
    Row(title="largest file", group="size", figure="largest_file_mb", unit="MB",
        bar="under 15 MB", passes=_under(15)),
)  # fmt: skip


def table(groups: Mapping[str, Mapping[str, float]]) -> str:
    """The figures as a Markdown table, with the bars and whether they are met."""
    lines = ["| measure | value | bar | met |", "| --- | --- | --- | --- |"]
    for row in TABLE:
        figure = groups.get(row.group, {}).get(row.figure)
        if figure is None:
            continue
        met = _met(row, groups[row.group])
        lines.append(f"| {row.title} | {_shown(figure, row.unit)} | {row.bar} | {met} |")
    return "\n".join(lines)


def _met(row: Row, figures: Mapping[str, float]) -> str:
    if row.passes is None:
        return ""
    if row.whole and figures["width"] * figures["height"] * figures["frames"] < PIXELS:
        return "asked for less"
    return "yes" if row.passes(figures[row.figure]) else "**no**"


def _shown(figure: float, unit: str) -> str:
    if unit == "%":
        return f"{figure:.1%}".replace("%", " %")
    return f"{figure:.3g} {unit}".strip()
