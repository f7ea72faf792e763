"""What the gates find of planted faults, and what they reject of good layers: a confusion table.

Takes samples whose layers are right; where there are too few of them, mirrored ones and other
pieces of the same clips count as more.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layert2v_engine.decompose.protocols import Detection, ObjectDetector
from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.faults import FAULTS
from layert2v_engine.vidlayer.measures import measure_sample
from layert2v_engine.vidlayer.readers.sample import (
    LayeredSample,
    SampleFiles,
    SampleLayer,
    read_sample,
)
from layert2v_engine.vidlayer.recognition import describe, recognize
from layert2v_engine.vidlayer.thresholds import Thresholds

GOOD = "none"
_LOOKS = 8  # variants of a clip
_CROP = 8  # a crop leaves out this part of width or height


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One sample with one fault, or with none: its scores, by which any thresholds can judge it."""

    clip: str
    fault: str
    scores: dict[str, float]

    def reasons(self, thresholds: Thresholds) -> list[str]:
        """Return the names of the reasons to reject it."""
        found = thresholds.reasons("inspect", self.scores)
        return list(dict.fromkeys(reason.partition(":")[0] for reason in found))


def plant_faults(
    files: Sequence[SampleFiles],
    detector: ObjectDetector,
    report: Callable[[int, int], None],
    *,
    each: int = 40,
    frames: int = 6,
    scores: Path | None = None,
) -> list[Trial]:
    """Return ``each`` samples as they are, and each of them with every fault, ``frames`` long.

    scores: JSON lines that trials are added to, sample by sample; those that are in it already are
        not made again, so that a stopped call goes on.
    The same samples give the same trials. Captions are by template, since those of free words can
    be judged by a model alone. Raises ``EngineError`` where there are fewer than two clips, or too
    few variants of them.
    """
    if len(files) < 2:
        raise EngineError(
            "Planting faults takes two clips at least, since some take things from another one.",
            "Name a data set with more clips.",
            reason="TOO_FEW_CLIPS",
        )
    if each > _LOOKS * len(files):
        raise EngineError(
            f"{len(files)} clips give {_LOOKS * len(files)} variants at most.",
            "Ask for fewer, or name a data set with more clips.",
            reason="TOO_FEW_CLIPS",
        )
    known = read_trials(scores) if scores else {}
    found: list[Trial] = []
    for number in range(each):
        report(number, each)
        if (done := known.get(_variant_name(files, number))) is not None:
            found += done
            continue
        remembering = _RememberingDetector(detector)
        sample = _variant(files, number, frames, remembering)
        other = _variant(files, (number + max(1, len(files) // 2)) % len(files), frames, detector)
        trials = list(_trials(sample, other, remembering))
        if scores:
            add_trials(scores, trials)
        found += trials
    report(each, each)
    return found


def read_trials(path: Path) -> dict[str, list[Trial]]:
    """Return what ``add_trials`` wrote by clip, without one that a killed call was writing."""
    trials: dict[str, dict[str, Trial]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError):
            trial = Trial(**json.loads(line))
            trials.setdefault(trial.clip, {})[trial.fault] = trial
    last = list(FAULTS)[-1]
    return {clip: list(each.values()) for clip, each in trials.items() if last in each}


def add_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Add the trials of one sample as lines of JSON."""
    with path.open("a", encoding="utf-8") as file:  # a new line first: the last may be half a one
        file.write("".join("\n" + json.dumps(asdict(each)) for each in trials))


def confusion_table(
    groups: Mapping[str, Sequence[Trial]], thresholds: Thresholds, *, shown_reasons: int = 3
) -> str:
    """Return a Markdown table: a row per fault, a column per group, all, and what found it."""
    lines = [
        "| planted | " + " | ".join(groups) + " | rejected | gates that did it |",
        "| --- " * (len(groups) + 3) + "|",
    ]
    for fault in (GOOD, *FAULTS):
        reasons: Counter[str] = Counter()
        cells, rejected, count = [], 0, 0
        for trials in groups.values():
            found = [each.reasons(thresholds) for each in trials if each.fault == fault]
            reasons.update(reason for each in found for reason in each)
            out = sum(map(bool, found))
            rejected, count = rejected + out, count + len(found)
            cells.append(f"{out} of {len(found)}")
        top = ", ".join(f"{name} {n}" for name, n in reasons.most_common(shown_reasons))
        share = f"{100 * rejected / max(1, count):.1f} %"
        lines.append(f"| {fault} | {' | '.join(cells)} | {share} | {top or '-'} |")
    return "\n".join(lines)


def _trials(
    sample: LayeredSample, other: LayeredSample, detector: ObjectDetector
) -> Iterator[Trial]:
    rng = random.Random(sample.files.name)  # noqa: S311
    for fault, plant in {GOOD: None, **FAULTS}.items():
        planted = sample if plant is None else plant(sample, rng, other)
        if planted is None:
            continue  # there is no place for it
        scores = measure_sample(planted) | recognize(planted, detector, by_template=True)
        yield Trial(clip=sample.files.name, fault=fault, scores=scores)


def _variant(
    files: Sequence[SampleFiles], number: int, frames: int, detector: ObjectDetector
) -> LayeredSample:
    """Return a sample of the set, short and with a caption by template; later ones are variants.

    Every second one is mirrored; some lack a side of the picture, that which is farther from the
    subject, and are taken from the end of the clip.
    """
    look, index = divmod(number, len(files))
    sample = read_sample(files[index])
    cropped = look // 2
    length = len(sample.full)
    span = slice(max(0, length - frames), length) if cropped % 2 else slice(0, frames)
    rows, columns = _far_sides(sample.foregrounds[-1].matte[span], cropped)

    def view(video: Tensor) -> Tensor:
        part = video[span, :, rows, columns]
        return (part.flip(-1) if look % 2 else part).contiguous()

    viewed = replace(
        sample,
        files=replace(sample.files, name=_variant_name(files, number)),
        full=view(sample.full),
        background=view(sample.background),
        foregrounds=tuple(_view_layer(each, view) for each in sample.foregrounds),
    )
    caption = describe(viewed, detector)["foreground_caption"]
    layers = viewed.files.foregrounds
    captioned = (*layers[:-1], replace(layers[-1], caption=caption))
    return replace(viewed, files=replace(viewed.files, foregrounds=captioned))


def _variant_name(files: Sequence[SampleFiles], number: int) -> str:
    look, index = divmod(number, len(files))
    return f"{files[index].name}_{look}" if look else files[index].name


def _view_layer(layer: SampleLayer, view: Callable[[Tensor], Tensor]) -> SampleLayer:
    return SampleLayer(
        color=view(layer.color),
        matte=view(layer.matte),
        shadow=None if layer.shadow is None else view(layer.shadow),
        light=None if layer.light is None else view(layer.light),
    )


def _far_sides(matte: Tensor, cropped: int) -> tuple[slice, slice]:
    """Return rows and columns without the sides far from the subject; cropped: 0 to 3."""
    spans = []
    for axis, is_cropped in ((-2, cropped & 2), (-1, cropped & 1)):
        size = matte.shape[axis]
        weight = matte.sum(dim=(0, 1, -1 if axis == -2 else -2))
        center = float((weight * torch.arange(size)).sum() / weight.sum().clamp_min(1e-6))
        left_out = size // _CROP if is_cropped else 0
        spans.append(slice(0, size - left_out) if center < size / 2 else slice(left_out, size))
    return spans[0], spans[1]


class _RememberingDetector:
    """A detector that looks at each picture once: most faults leave the full video as it is."""

    def __init__(self, detector: ObjectDetector) -> None:
        self.labels = detector.labels
        self._detector, self._known = detector, dict[bytes, list[Detection]]()

    def detect(self, picture: NDArray[np.uint8]) -> list[Detection]:
        """Return the objects in ``[H, W, 3]`` sRGB."""
        key = hashlib.sha256(picture.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._detector.detect(picture)
        return self._known[key]
