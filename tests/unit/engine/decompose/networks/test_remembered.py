from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.networks.remembered import RememberedSaliency


class _Counting:
    def __init__(self) -> None:
        self.calls = 0

    def predict(self, picture: np.ndarray) -> np.ndarray:
        self.calls += 1
        return picture.mean(-1).astype(np.float32)


def test_the_same_picture_is_asked_for_once() -> None:
    network, pictures = _Counting(), np.random.default_rng(0).integers(0, 255, (3, 8, 6, 3), "u1")
    saliency = RememberedSaliency(network)
    for picture in (*pictures, *pictures.copy()):
        assert (saliency.predict(picture) == picture.mean(-1).astype(np.float32)).all()
    assert network.calls == 3


def test_pixels_in_another_shape_are_another_picture() -> None:
    saliency = RememberedSaliency(_Counting())
    gray = np.full((4, 6, 3), 9, np.uint8)
    assert saliency.predict(gray).shape == (4, 6)
    assert saliency.predict(gray.reshape(6, 4, 3)).shape == (6, 4)


def test_only_the_last_answers_are_kept() -> None:
    network = _Counting()
    saliency = RememberedSaliency(network)
    for value in range(100):
        saliency.predict(np.full((2, 2, 3), value, np.uint8))
    saliency.predict(np.full((2, 2, 3), 99, np.uint8))
    assert network.calls == 100
    saliency.predict(np.full((2, 2, 3), 0, np.uint8))
    assert network.calls == 101
