"""The weights that ship with the product, and how an ONNX file is opened."""

from __future__ import annotations

from pathlib import Path

import cv2

from layert2v_engine.errors import BadCheckpoint

WEIGHTS = Path(__file__).with_name("weights")


def load_onnx(path: Path) -> cv2.dnn.Net:
    """Return the network in an ONNX file, which is data alone. Raises ``BadCheckpoint``."""
    if not path.is_file():
        raise BadCheckpoint(f"The network {path} is missing.", "Install layert2v again.")
    try:
        return cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise BadCheckpoint(
            f"{path} is not a network that can be read.", "Install layert2v again."
        ) from error
