"""SAM 2.1: the mask of a subject through a shot, from what is shown on some frames.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. The pictures are prepared here,
one at a time, so that memory does not grow by 12 MB for each frame; transformers' own processor
would need one more package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, Frames, WritableFrames
from layert2v_engine.decompose.protocols import Box, SaliencyNetwork
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.errors import FootageError
from layert2v_engine.model.checkpoint import raise_bad_checkpoint
from layert2v_engine.model.weights_check import check_weights
from layert2v_engine.recipes.subjects.boxes import GroundingDino

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LOOKED_AT = 5  # frames that are searched for a subject that is not shown on any
_STROKE_POINTS = 8  # that stand for a scribble
_BACKGROUND, _FOREGROUND, _TOP_LEFT, _BOTTOM_RIGHT = 0, 1, 2, 3  # labels of points
_SUBJECT = 1  # the one object of a session


class Sam2Tracker:
    """Finds a subject and follows it; see ``SubjectTracker``.

    ``detector`` turns words into a box; ``saliency`` finds the main subject where nothing is said.
    Raises BadCheckpoint.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        *,
        saliency: SaliencyNetwork,
        detector: GroundingDino | None = None,
    ) -> None:
        from transformers import Sam2VideoModel

        with raise_bad_checkpoint(str(folder)):
            check_weights(folder)
            self._network: Any = Sam2VideoModel.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, trust_remote_code=False
            )
        self._network.to(device).eval().requires_grad_(False)
        self._device, self._saliency, self._detector = device, saliency, detector
        self._side = int(self._network.config.image_size)

    @torch.inference_mode()
    def find(
        self,
        pictures: Frames,
        hints: SubjectHints,
        masks: WritableFrames,
        on_frames: Callable[[int], None],
        on_first: Callable[[FloatArray], None],
    ) -> None:
        """Write the mask ``[T, h, w]`` in 0..1 of every frame; see ``SubjectTracker``."""
        shown = dict(hints.frames) or self._search(pictures, hints.words)
        height, width = np.asarray(pictures[0]).shape[:2]
        size = (height, width)
        session = self._open_session(pictures, size)
        for index, hint in sorted(shown.items()):
            self._show(session, index, hint, size)
            # At once: a session takes the new hints of one frame at a time.
            self._network(inference_session=session, frame_idx=index)
        start, done = min(shown), 0
        for reverse in (False, True):
            for found in self._network.propagate_in_video_iterator(
                inference_session=session, start_frame_idx=start, reverse=reverse
            ):
                mask = _mask(found.pred_masks, size)
                if found.frame_idx == start and not reverse:
                    on_first(mask)
                masks[found.frame_idx] = mask
                done = min(done + 1, len(pictures))
                on_frames(done)
        for index, hint in shown.items():
            if hint.mask is not None:  # what was shown has the last word
                masks[index] = hint.mask

    def _search(self, pictures: Frames, words: str) -> dict[int, FrameHints]:
        """Return a hint on the frame that shows a subject best, of a few."""
        count = len(pictures)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round().astype(int))
        best: tuple[float, int, FrameHints] | None = None
        for index in chosen:
            picture = np.asarray(pictures[index])
            score, hint = self._look(picture, words)
            if hint is not None and (best is None or score > best[0]):
                best = (score, int(index), hint)
        if best is None:
            raise FootageError(
                f"Nothing like {words!r} was found." if words else "No subject was found.",
                "Show it with --box or --point on a frame, or give a matte.",
                reason="SUBJECT_NOT_FOUND",
            )
        return {best[1]: best[2]}

    def _look(self, picture: ByteArray, words: str) -> tuple[float, FrameHints | None]:
        """Return how surely a picture shows the subject, and a hint where."""
        if words and self._detector is not None:
            found = self._detector.find(picture, words)
            return (found[0].score, FrameHints(boxes=(found[0].box,))) if found else (0.0, None)
        saliency = self._saliency.predict(picture)
        solid = saliency > 0.5
        if not solid.any():
            return 0.0, None
        sureness = float(saliency[solid].mean()) * min(1.0, float(solid.mean()) * 20)
        return sureness, FrameHints(mask=saliency)

    def _open_session(self, pictures: Frames, size: tuple[int, int]) -> Any:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        height, width = size
        session = Sam2VideoInferenceSession(
            video_height=height,
            video_width=width,
            inference_device=self._device,
            inference_state_device="cpu",
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        session.processed_frames = _Frames(pictures, self._side)
        return session

    def _show(self, session: Any, index: int, hint: FrameHints, size: tuple[int, int]) -> None:
        """Tell a session what was shown on a frame: a mask, or points and a box."""
        subject = session.obj_id_to_idx(_SUBJECT)
        if hint.mask is not None:
            mask = torch.from_numpy(np.ascontiguousarray(hint.mask, np.float32))[None, None]
            resized = F.interpolate(mask, (self._side, self._side), mode="bilinear", antialias=True)
            session.add_mask_inputs(subject, index, (resized >= 0.5).float().to(self._device))
        else:
            points, labels = _points(hint)
            height, width = size
            scale = torch.tensor([self._side / width, self._side / height])
            places = torch.tensor(points, dtype=torch.float32) * scale
            inputs = {
                "point_coords": places[None, None],
                "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None],
            }
            session.add_point_inputs(subject, index, inputs)
        session.obj_with_new_inputs = [_SUBJECT]


class _Frames:
    """The frames of a session by number, prepared when they are asked for."""

    def __init__(self, pictures: Frames, side: int) -> None:
        self._pictures, self._side = pictures, side

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Tensor:
        picture = np.asarray(self._pictures[index])
        size = (self._side, self._side)
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        normal = (np.asarray(resized, np.float32) / 255 - _MEAN) / _STD
        return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32))


def _points(hint: FrameHints) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the points of a hint with their labels; the corners of its box come first."""
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    if hint.boxes:
        box = _around(hint.boxes)
        points += [(box.left, box.top), (box.right, box.bottom)]
        labels += [_TOP_LEFT, _BOTTOM_RIGHT]
    groups = [(hint.inside, _FOREGROUND), (hint.outside, _BACKGROUND)]
    if hint.scribble is not None:
        groups += [(_stroke_points(hint.scribble > 0.5), _FOREGROUND)]
        groups += [(_stroke_points(hint.scribble < -0.5), _BACKGROUND)]
    for places, label in groups:
        points += places
        labels += [label] * len(places)
    return points, labels


def _around(boxes: tuple[Box, ...]) -> Box:
    left, top = (min(getattr(box, side) for box in boxes) for side in ("left", "top"))
    right, bottom = (max(getattr(box, side) for box in boxes) for side in ("right", "bottom"))
    return Box(left, top, right, bottom)


def _stroke_points(stroke: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return some places along a stroke, evenly over its pixels."""
    rows, columns = np.nonzero(stroke)
    if not len(rows):
        return ()
    chosen = np.unique(np.linspace(0, len(rows) - 1, _STROKE_POINTS).astype(int))
    return tuple((float(columns[k]), float(rows[k])) for k in chosen)


def _mask(logits: Tensor, size: tuple[int, int]) -> FloatArray:
    """Return the mask ``[h, w]`` in 0..1 of a session's answer."""
    plane = F.interpolate(logits.float().reshape(1, 1, *logits.shape[-2:]), size, mode="bilinear")
    return np.asarray(plane[0, 0].sigmoid().cpu().numpy(), np.float32)
