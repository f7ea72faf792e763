"""Stage 1: sources to clips. Shots of the right length, without bars, that move but not too fast.

The motion scores are called as NeMo Curator calls them; here they are optical flow as a share of
the picture's height and not a codec's vectors, so the thresholds are our own (``thresholds.toml``).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.motion import optical_flow, to_gray
from layert2v_engine.decompose.shots import CutFinder
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.stills import find_images
from layert2v_engine.vidlayer.clip_stage import STOPPING
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.sources import Source
from layert2v_engine.vidlayer.state import QUARANTINE, ClipState, clip_states
from layert2v_engine.vidlayer.thresholds import Thresholds

Pictures = NDArray[np.uint8]
FOOTAGE = "footage.mkv"
_FLOW_HEIGHT, _PATCHES = 128, 8
_HASHED = (0.0, 0.5, 1.0)  # where in a clip it is hashed


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFormat:
    """What clips are cut to: ``frames`` each at ``fps`` (0: as it is), no higher than ``height``.

    A shot gives ``per_shot`` clips at most, one after another.
    """

    frames: int = 17
    fps: float = 0.0
    height: int = 480
    per_shot: int = 2


class ClipStage:
    """Sources in, clips out; a batch has ``source``, a list of dictionaries of ``Source``."""

    name = "clip"

    def __init__(self, root: Path, wanted: ClipFormat, thresholds: Thresholds) -> None:
        self._root, self._wanted, self._thresholds = root, wanted, thresholds

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return the names of all clips of the sources."""
        names = [name for each in batch["source"] for name in self._cut(Source(**each))]
        return {"clip": names}

    def _cut(self, source: Source) -> list[str]:
        try:
            name, digest = _name(source.path)
            done = ClipState(self._root, f".{name}")
            if ClipState(self._root, name).is_done(QUARANTINE):
                if not done.is_done("source"):  # killed between the two
                    done.finish("source", {"clips": []})
            elif not done.read("source").get("clips"):  # new, or let in again
                clips = list(self._write_clips(source, name, digest))
                done.finish("source", {"clips": clips or self._reject_short(source, name, digest)})
        except Exception as error:
            reason = getattr(error, "reason", type(error).__name__)
            if reason in STOPPING:  # it is not the source's fault
                raise
            self.quarantine(source, reason, str(error))
            return []
        clips = list(done.read("source")["clips"])
        for clip in clips:
            self._update_licence(source, clip)
        return clips

    def quarantine(self, source: Source, reason: str, message: str) -> None:
        """Keep why a source gives no clips; while that is there, it is not tried again."""
        try:
            name, _ = _name(source.path)
        except OSError:
            name = f"{_stem(source.path)}_unreadable"
        facts = {"stage": self.name, "reason": reason, "message": message}
        state = ClipState(self._root, name)
        state.finish(QUARANTINE, facts | {"source": str(source.path)})
        ClipState(self._root, f".{name}").finish("source", {"clips": []})

    def _reject_short(self, source: Source, name: str, digest: str) -> list[str]:
        """Keep as a rejected clip that no shot of a source is long enough."""
        step = _frame_step(open_clip(source.path).info.fps, self._wanted.fps)
        frames = sum(1 for _ in open_clip(source.path))
        starts = [0, *find_cuts(source.path), frames]
        longest = max(b - a for a, b in itertools.pairwise(starts))
        needed = self._wanted.frames * step
        reason = f"too_short: the longest shot has {longest} frames, a clip takes {needed}"
        facts = _facts(source, digest) | {"clip": name, "frames": frames, "reasons": [reason]}
        ClipState(self._root, name).finish(self.name, facts)
        return [name]

    def _update_licence(self, source: Source, clip: str) -> None:
        """Say of a clip that was cut before what ``sources.toml`` says by now."""
        state = ClipState(self._root, clip)
        known = state.read(self.name)
        now = {key: getattr(source, key) for key in ("group", "licence", "provenance")}
        if known | now != known:
            state.finish(self.name, known | now)

    def _write_clips(self, source: Source, name: str, digest: str) -> Iterator[str]:
        clip = open_clip(source.path)
        step = _frame_step(clip.info.fps, self._wanted.fps)
        for first, pictures in self._shots(source.path, step):
            clip_name = f"{name}_{first:06d}"
            state = ClipState(self._root, clip_name)
            if not state.is_done(self.name):
                bars = find_bars(pictures)
                kept = _fit(pictures[:, bars[0], bars[1]], self._wanted.height)
                scores = measure(kept)
                write_lossless(state.folder / FOOTAGE, kept, (clip.info.fps or 24.0) / step)
                facts = _facts(source, digest) | {
                    "clip": clip_name, "first_frame": first, "frames": len(kept),
                    "fps": (clip.info.fps or 24.0) / step, "scores": scores,
                    "hashes": perceptual_hashes(kept), "size": list(kept.shape[2:0:-1]),
                    "reasons": self._thresholds.reasons("clip", scores),
                }  # fmt: skip
                state.finish(self.name, facts)
            yield clip_name

    def _shots(self, path: Path, step: int) -> Iterator[tuple[int, Pictures]]:
        """Yield first frame and pictures of clips, none of which has a cut inside.

        A cut is known some frames late, so a clip waits for those that follow it.
        """
        cuts, frames = find_cuts(path), self._wanted.frames * step
        ends = [*cuts, 1 << 40]
        held: list[Pictures] = []
        start, taken, end = 0, 0, ends.pop(0)
        for index, frame in enumerate(open_clip(path)):
            if index == end:
                held, taken, end, start = [], 0, ends.pop(0), index
            if taken == self._wanted.per_shot:
                continue
            held.append(_to_bytes(frame.rgb.numpy()))
            if len(held) == frames:
                yield start, np.stack(held[::step])
                held, start, taken = [], index + 1, taken + 1


def mark_duplicates(root: Path, thresholds: Thresholds) -> None:
    """Reject clips that look like one before them, by the order of names and not of arrival."""
    limit = int(thresholds.value("clip", "hash_distance"))
    seen: list[list[int]] = []
    for state in clip_states(root):
        facts = state.read("clip")
        if not facts or [each for each in facts["reasons"] if each != "near_duplicate"]:
            continue
        hashes = [int(each, 16) for each in facts["hashes"]]
        near = any(
            max((a ^ b).bit_count() for a, b in zip(hashes, other, strict=True)) <= limit
            for other in seen
        )
        reasons = ["near_duplicate"] if near else []
        if reasons != facts["reasons"]:
            state.finish("clip", facts | {"reasons": reasons})
        if not near:
            seen.append(hashes)


def find_cuts(path: Path) -> list[int]:
    """Return the frames that new shots begin with."""
    finder = CutFinder()
    for frame in open_clip(path):
        finder.add(_to_bytes(frame.rgb.numpy()))
    return finder.cuts()


def find_bars(pictures: Pictures) -> tuple[slice, slice]:
    """Return rows and columns inside of black bars; sides stay even, for 4:2:0."""
    bright = pictures.max(axis=(0, 3)) > 20
    spans = []
    for axis in (1, 0):
        used = np.flatnonzero(bright.mean(axis=axis) > 0.02)
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, bright.shape[1 - axis])
        low += low % 2
        spans.append(slice(low, high - (high - low) % 2))
    return spans[0], spans[1]


def measure(pictures: Pictures) -> dict[str, float]:
    """Return the scores of a clip ``[T, H, W, 3]``: light and motion."""
    height, width = pictures.shape[1:3]
    size = (max(16, round(width * _FLOW_HEIGHT / height)), _FLOW_HEIGHT)
    grays = [to_gray(cv2.resize(each, size, interpolation=cv2.INTER_AREA)) for each in pictures]
    flows = [
        np.hypot(*np.moveaxis(optical_flow(a, b), -1, 0)) / _FLOW_HEIGHT
        for a, b in itertools.pairwise(grays)
    ] or [np.zeros(size[::-1])]
    flow = np.mean(flows, 0)
    patches = [
        float(part.mean())
        for row in np.array_split(flow, _PATCHES)
        for part in np.array_split(row, _PATCHES, axis=1)
    ]
    changes = [float(np.abs(a.astype(int) - b).mean()) for a, b in itertools.pairwise(grays)]
    return {
        "mean_level": round(float(pictures.mean()) / 255, 5),
        "contrast": round(float(np.std(grays[len(grays) // 2])) / 255, 5),
        "motion_score_global_mean": round(float(flow.mean()), 6),
        "motion_score_per_patch_min_256": round(min(patches), 7),
        "frame_change": round(float(np.mean(changes or [0.0])) / 255, 6),
    }


def perceptual_hashes(pictures: Pictures) -> list[str]:
    """Return difference hashes (64 bits, hexadecimal) of first, middle and last picture."""
    hashes = []
    for place in _HASHED:
        gray = to_gray(pictures[round(place * (len(pictures) - 1))])
        small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
        bits = (small[:, 1:] > small[:, :-1]).ravel()
        hashes.append(f"{int(''.join('01'[int(bit)] for bit in bits), 2):016x}")
    return hashes


def source_record(source: Source) -> dict[str, Any]:
    """Return a source as a row of a batch."""
    return asdict(source)


def _fit(pictures: Pictures, height: int) -> Pictures:
    if pictures.shape[1] <= height:
        return pictures
    width = 2 * round(pictures.shape[2] * height / pictures.shape[1] / 2)
    small = [cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in pictures]
    return np.stack(small).astype(np.uint8)


def _frame_step(own: float | None, wanted: float) -> int:
    return max(1, round((own or wanted) / wanted)) if wanted and own else 1


def _to_bytes(rgb: NDArray[np.float32]) -> Pictures:
    pixels = np.moveaxis(np.clip(rgb, 0, 1), 0, -1) * 255
    return np.ascontiguousarray(pixels.round().astype(np.uint8))


def _facts(source: Source, digest: str) -> dict[str, Any]:
    return {
        "source": str(source.path), "source_sha256": digest, "group": source.group,
        "licence": source.licence, "provenance": source.provenance,
    }  # fmt: skip


def _name(path: Path) -> tuple[str, str]:
    """Return what clips of a source are called, and its SHA-256; raises ``OSError``.

    Of images it is that of their names and contents, in order.
    """
    images = find_images(path)
    if images and not path.is_file():
        whole = hashlib.sha256()
        for image in images:
            whole.update(f"{image.name} {_digest(image)}\n".encode())
        digest = whole.hexdigest()
    else:
        digest = _digest(path)
    return f"{_stem(path)}_{digest[:8]}", digest


def _stem(path: Path) -> str:
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[#%/\\]+", "", name).strip(". ") or "video"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
