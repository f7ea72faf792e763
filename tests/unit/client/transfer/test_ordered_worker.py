"""Work beside the thread that brings the pieces: in order, whole, and with its errors."""

from __future__ import annotations

import time

import pytest

from layert2v_client.transfer.ordered_worker import OrderedWorker


def test_pieces_are_worked_on_in_order() -> None:
    seen: list[bytes] = []

    def work(piece: bytes) -> None:
        time.sleep(0.001)
        seen.append(piece)

    pieces = [bytes([k]) for k in range(20)]
    with OrderedWorker(work) as worker:
        for piece in pieces:
            worker.put(piece)
    assert seen == pieces


def test_an_error_of_the_work_comes_back() -> None:
    def work(piece: bytes) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), OrderedWorker(work) as worker:
        for _ in range(100):
            worker.put(b"x")
    with pytest.raises(OSError, match="the disk is full"), OrderedWorker(work) as worker:
        worker.put(b"x")


def test_the_error_of_the_block_goes_first() -> None:
    def work(piece: bytes) -> None:
        raise OSError("the disk is full")

    with pytest.raises(KeyError), OrderedWorker(work) as worker:
        worker.put(b"x")
        raise KeyError
