"""NanoDet-g: boxes of the 80 kinds of objects of COCO. github.com/RangiLyu/nanodet, Apache-2.0."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.networks.loading import WEIGHTS, load_onnx
from layert2v_engine.decompose.protocols import Box, Detection

_SIDE = 416
_MEAN, _STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of blue, green, red
_STRIDES = (8, 16, 32)
_MIN_SCORE, _MAX_OVERLAP = 0.3, 0.5

_KINDS = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, "
    "fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, "
    "elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, "
    "skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, "
    "surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, "
    "apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, "
    "potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, "
    "cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, "
    "teddy bear, hair drier, toothbrush"
)
COCO = tuple(_KINDS.split(", "))


class NanoDet:
    """The detector that ships with the product. Raises ``BadCheckpoint``."""

    labels = COCO

    def __init__(self, path: Path = WEIGHTS / "nanodet.onnx") -> None:
        self._network = load_onnx(path)
        kinds = ("scores", "sides")
        self._outputs = [f"{kind}_{stride}" for kind in kinds for stride in _STRIDES]

    def detect(self, picture: ByteArray) -> list[Detection]:
        """Return the objects in ``[H, W, 3]`` sRGB, the surest first."""
        height, width = picture.shape[:2]
        scale = _SIDE / max(height, width)
        size = (round(width * scale), round(height * scale))
        small = np.asarray(cv2.resize(picture, size), np.float32)[..., ::-1]
        canvas = np.zeros((_SIDE, _SIDE, 3), np.float32)
        canvas[: size[1], : size[0]] = (small - _MEAN) / _STD
        self._network.setInput(np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]))
        outputs = [np.asarray(each, np.float32)[0] for each in self._network.forward(self._outputs)]
        count = len(_STRIDES)
        scores = np.concatenate(outputs[:count])
        boxes = [_decode(*pair) for pair in zip(outputs[count:], _STRIDES, strict=True)]
        return _suppress(scores, np.concatenate(boxes) / scale)


def _decode(sides: FloatArray, stride: int) -> FloatArray:
    """Return boxes ``[N, 4]`` from the distributions of their distances to the sides."""
    cells = _SIDE // stride
    logits = sides.reshape(len(sides), 4, -1)
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    reach = (weight * np.arange(logits.shape[-1])).sum(-1) * stride
    row, column = np.divmod(np.arange(len(sides)), cells)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    edges = [x - reach[:, 0], y - reach[:, 1], x + reach[:, 2], y + reach[:, 3]]
    return np.stack(edges, 1).astype(np.float32)


def _suppress(scores: FloatArray, boxes: FloatArray) -> list[Detection]:
    """Return detections without those that overlap a surer one."""
    best, kinds = scores.max(1), scores.argmax(1)
    corners = [[float(a), float(b), float(c - a), float(d - b)] for a, b, c, d in boxes]
    kept = cv2.dnn.NMSBoxes(corners, best.tolist(), _MIN_SCORE, _MAX_OVERLAP)
    found = [
        Detection(COCO[kinds[k]], float(best[k]), Box(*map(float, boxes[k])))
        for k in np.asarray(kept, int).ravel()
    ]
    return sorted(found, key=lambda each: -each.score)
