"""Networks that remember their last answers: several ways of looking ask for the same pictures."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Detection, ObjectDetector, SaliencyNetwork

Answer = TypeVar("Answer")
_MOST = 64  # answers: more than a window's key frames ask for


class _Memory(Generic[Answer]):
    """The last answers of a function of pictures ``[H, W, 3]``, by what the pictures show."""

    def __init__(self, ask: Callable[[ByteArray], Answer]) -> None:
        self._ask = ask
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()

    def answer(self, picture: ByteArray) -> Answer:
        shown = hashlib.blake2b(picture.tobytes(), digest_size=16, salt=_salt(picture))
        key = shown.digest()
        if key not in self._answers:
            self._answers[key] = self._ask(picture)
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]


def _salt(picture: ByteArray) -> bytes:
    """Return what tells pictures of the same pixels and another shape apart."""
    return b"".join(side.to_bytes(4, "big") for side in picture.shape[:2])


class RememberedSaliency:
    """Saliency of a network that is asked once for each picture."""

    def __init__(self, network: SaliencyNetwork) -> None:
        self._memory = _Memory(network.predict)

    def predict(self, picture: ByteArray) -> FloatArray:
        """Return the coverage ``[H, W]`` in 0..1, not to be changed; see ``SaliencyNetwork``."""
        return self._memory.answer(picture)


class RememberedDetector:
    """Detections of a network that is asked once for each picture."""

    def __init__(self, network: ObjectDetector) -> None:
        self._network, self._memory = network, _Memory(network.detect)

    @property
    def labels(self) -> tuple[str, ...]:
        """The kinds that it knows."""
        return self._network.labels

    def detect(self, picture: ByteArray) -> list[Detection]:
        """Return the objects in ``[H, W, 3]``, not to be changed; see ``ObjectDetector``."""
        return self._memory.answer(picture)
