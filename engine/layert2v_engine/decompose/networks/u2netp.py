"""U2-Net (small): saliency of one picture. Qin et al., Pattern Recognition 2020."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, Size, resize
from layert2v_engine.decompose.networks.loading import WEIGHTS, load_onnx

_SIDE = 320
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class U2NetP:
    """Saliency by U2-Net's small version, 1.1 million parameters. Raises ``BadCheckpoint``."""

    def __init__(self, path: Path = WEIGHTS / "u2netp.onnx") -> None:
        self._network = load_onnx(path)
        self._output = self._network.getUnconnectedOutLayersNames()[0]  # the fused map; others help

    def predict(self, picture: ByteArray) -> FloatArray:
        """Return the coverage ``[H, W]`` in 0..1; see ``SaliencyNetwork``."""
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        values = np.asarray(small, np.float32) / max(float(small.max()), 1e-6)
        normal = ((values - _MEAN) / _STD).transpose(2, 0, 1)[None]
        self._network.setInput(np.ascontiguousarray(normal, np.float32))
        saliency = np.asarray(self._network.forward(self._output), np.float32)[0, 0]
        low, high = float(saliency.min()), float(saliency.max())
        return resize((saliency - low) / (high - low + 1e-6), Size(width, height))
