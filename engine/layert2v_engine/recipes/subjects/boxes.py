"""Grounding DINO: boxes of what words say, in one picture (Liu et al., ECCV 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from layert2v_engine.decompose.arrays import ByteArray
from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.model.checkpoint import raise_bad_checkpoint
from layert2v_engine.model.text import load_tokenizer
from layert2v_engine.model.weights_check import check_weights

MIN_SCORE = 0.25  # its authors' own
_SHORT_SIDE, _LONG_SIDE = 800, 1333
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GroundingDino:
    """Finds boxes by words, from the folder of a checkpoint of transformers.

    Raises BadCheckpoint.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        from transformers import GroundingDinoForObjectDetection

        with raise_bad_checkpoint(str(folder)):
            check_weights(folder)
            self._network: Any = GroundingDinoForObjectDetection.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, trust_remote_code=False
            )
            self._tokenizer = load_tokenizer(folder)
        self._network.to(device).eval().requires_grad_(False)
        self._device = device

    @torch.inference_mode()
    def find(self, picture: ByteArray, words: str) -> list[Detection]:
        """Return what ``words`` name in ``[H, W, 3]`` sRGB, the surest first."""
        height, width = picture.shape[:2]
        phrase = f"{words.strip().lower().rstrip('.')}."  # how it was trained to read
        text = self._tokenizer(phrase, return_tensors="pt").to(self._device)
        pixels = _prepare(picture).to(self._device)
        found = self._network(
            pixel_values=pixels,
            pixel_mask=torch.ones(1, *pixels.shape[-2:], dtype=torch.long, device=self._device),
            input_ids=text["input_ids"],
            attention_mask=text["attention_mask"],
            token_type_ids=text.get("token_type_ids"),
        )
        scores = found.logits[0].sigmoid().amax(-1).float().cpu()
        boxes = found.pred_boxes[0].float().cpu()
        detections = []
        for k in torch.argsort(scores, descending=True).tolist():
            if float(scores[k]) < MIN_SCORE:
                break
            x, y, w, h = (float(value) for value in boxes[k])
            box = Box(
                (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
            )
            detections.append(Detection(words, float(scores[k]), box.clip(width, height)))
        return detections


def _prepare(picture: ByteArray) -> torch.Tensor:
    """Return ``[1, 3, h, w]`` as it was trained: short side 800, long side at most 1333."""
    height, width = picture.shape[:2]
    scale = min(_SHORT_SIDE / min(height, width), _LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    normal = (np.asarray(resized, np.float32) / 255 - _MEAN) / _STD
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32))
