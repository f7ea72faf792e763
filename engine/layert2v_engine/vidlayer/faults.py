"""Faults of a layered sample, planted in good layers, to tell what the gates find.

Each is a function of a good sample, random numbers, and another sample to take things from. How
strong a fault is lies between what is plainly seen and what a careful look finds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from layert2v_engine.decompose.arrays import ByteArray
from layert2v_engine.decompose.motion import find_camera_motion, to_gray
from layert2v_engine.vidlayer.readers.sample import LayeredSample
from layert2v_engine.vidlayer.template import HEADINGS

Fault = Callable[[LayeredSample, random.Random, LayeredSample], LayeredSample]
_TRACE = 0.02
_FEWEST = 2  # frames in which something can change
_LEAST_DEPTH_PX = 3.0  # a thinner subject has no inside for a hole


def plant_hole(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample | None:
    """Make a round hole inside the matte, in every frame that has an inside.

    None where the subject is too thin in all of them.
    """
    matte = sample.foregrounds[-1].matte.clone()
    size, place, is_planted = rng.uniform(0.4, 1.0), rng.random(), False
    for frame in matte[:, 0]:
        body = np.pad((frame > 0.5).numpy().astype(np.uint8), 1)
        depth = cv2.distanceTransform(body, cv2.DIST_L2, 3)[1:-1, 1:-1]
        if depth.max() < _LEAST_DEPTH_PX:
            continue
        rows, columns = np.nonzero(depth > 0.7 * depth.max())
        at = int(place * len(rows))
        y, x = np.mgrid[: depth.shape[0], : depth.shape[1]]
        is_hole = np.hypot(y - rows[at], x - columns[at]) < max(2.0, 0.7 * depth.max() * size)
        frame[torch.from_numpy(is_hole)] = 0
        is_planted = True
    return _with_top(sample, matte=matte) if is_planted else None


def leave_subject_behind(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample:
    """Leave the subject in the background, whole or as a ghost of 60 % or more."""
    cover = (sample.foregrounds[-1].matte > _TRACE).float()
    strength = functional.max_pool2d(cover, 9, 1, 4) * rng.uniform(0.6, 1.0)
    return replace(sample, background=sample.background.lerp(sample.full, strength))


def shift_color(sample: LayeredSample, rng: random.Random, other: LayeredSample) -> LayeredSample:
    """Give the background another exposure, contrast or tint, by 10 % and more."""
    background, kind = sample.background, rng.choice(("exposure", "contrast", "tint"))
    if kind == "exposure":
        background = background * rng.choice((0.85, 0.9, 1.1, 1.15))
    elif kind == "contrast":
        background = background * 0.9 + rng.uniform(0.05, 0.08)
    else:
        gain = torch.ones(3, 1, 1)
        gain[rng.randrange(3)] = rng.choice((0.85, 1.15))
        background = background * gain
    return replace(sample, background=background.clamp(0, 1))


def flicker(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample | None:
    """Make every second frame of the background lighter or darker by 2.5 to 6 % of white.

    None for a single frame.
    """
    if len(sample.full) < _FEWEST:
        return None
    background = sample.background.clone()
    background[rng.randrange(2) :: 2] += rng.choice((-1, 1)) * rng.uniform(0.025, 0.06)
    return replace(sample, background=background.clamp(0, 1))


def swap_layers(sample: LayeredSample, rng: random.Random, other: LayeredSample) -> LayeredSample:
    """Exchange the background and the color of the subject."""
    color = sample.foregrounds[-1].color
    return replace(_with_top(sample, color=sample.background), background=color)


def cut_inside(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample | None:
    """Go on with another clip's footage from some frame on. None for a single frame."""
    if len(sample.full) < _FEWEST:
        return None
    start, full = rng.randrange(1, len(sample.full)), sample.full.clone()
    full[start:] = _like(other.full, sample.full)[: len(full) - start]
    return replace(sample, full=full)


def take_other_matte(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample:
    """Take the matte of another clip."""
    return _with_top(sample, matte=_like(other.foregrounds[-1].matte, sample.full))


def take_other_caption(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample:
    """Take the caption of another clip's foreground, or one by template with another heading."""
    files = sample.files
    own, caption = (each.files.foregrounds[-1].caption for each in (sample, other))
    if caption == own:
        caption = rng.choice([f"a subject {each}" for each in HEADINGS if each not in own])
    top = replace(files.foregrounds[-1], caption=caption)
    return replace(sample, files=replace(files, foregrounds=(*files.foregrounds[:-1], top)))


def take_background_along(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample | None:
    """Let the matte take a still piece of the scene along, half as large as the subject or larger.

    Its place in the first frame is beside the subject, and follows the camera. None where there is
    no subject in it.
    """
    layer = sample.foregrounds[-1]
    cover = layer.matte[:, 0].numpy()
    rows, columns = np.nonzero(cover[0] > 0.5)
    if not len(rows):
        return None
    radius = math.sqrt(rng.uniform(0.5, 1.0) * len(rows) / math.pi)
    side = rng.choice((columns.min(), columns.max()))
    center = (round(float(side)), round(float(np.median(rows))))
    piece = cv2.circle(np.zeros(cover[0].shape, np.float32), center, round(radius), 1.0, -1)
    taken = [piece * (1 - cover[0])]
    grays = [_gray(each) for each in sample.background]
    anywhere = np.ones(piece.shape, bool)
    for t in range(1, len(cover)):
        motion = find_camera_motion(grays[0], grays[t], anywhere)
        taken.append(cv2.warpPerspective(piece, motion, piece.shape[::-1]) * (1 - cover[t]))
    added = torch.from_numpy(np.stack(taken))[:, None]
    matte, is_taken = (layer.matte + added).clamp(0, 1), (added > 0).float()
    planted = _with_top(sample, matte=matte, color=layer.color.lerp(sample.full, is_taken))
    invented = sample.background.roll(2 * round(radius) + 1, -1)  # what is behind is never seen
    return replace(planted, background=sample.background.lerp(invented, is_taken))


def smear_background(
    sample: LayeredSample, rng: random.Random, other: LayeredSample
) -> LayeredSample:
    """Blur the background where the subject hides it."""
    cover = (sample.foregrounds[-1].matte > _TRACE).float()
    hidden = functional.max_pool2d(cover, 5, 1, 2)[:, 0].numpy() > 0
    sigma = rng.uniform(6, 10)
    pictures = sample.background.movedim(1, -1).numpy()
    smeared = [
        np.where(where[..., None], cv2.GaussianBlur(picture, (0, 0), sigma), picture)
        for picture, where in zip(pictures, hidden, strict=True)
    ]
    return replace(sample, background=torch.from_numpy(np.stack(smeared)).movedim(-1, 1))


FAULTS: dict[str, Callable[..., LayeredSample | None]] = {
    "hole": plant_hole,
    "subject_left_behind": leave_subject_behind,
    "color_shift": shift_color,
    "flicker": flicker,
    "wrong_caption": take_other_caption,
    "swapped_layers": swap_layers,
    "cut_inside": cut_inside,
    "matte_of_another": take_other_matte,
    "background_taken_along": take_background_along,
    "smeared_background": smear_background,
}


def _with_top(sample: LayeredSample, **planes: Any) -> LayeredSample:
    top = replace(sample.foregrounds[-1], **planes)
    return replace(sample, foregrounds=(*sample.foregrounds[:-1], top))


def _gray(picture: Tensor) -> ByteArray:
    pixels = (picture.movedim(0, -1).clamp(0, 1) * 255).round().byte()
    return to_gray(np.ascontiguousarray(pixels.numpy()))


def _like(video: Tensor, wanted: Tensor) -> Tensor:
    """Return another clip's frames at this one's size and length; its last one is repeated."""
    video = torch.cat([video, video[-1:].expand(len(wanted), -1, -1, -1)])[: len(wanted)]
    return functional.interpolate(video, wanted.shape[-2:], mode="bilinear", align_corners=False)
