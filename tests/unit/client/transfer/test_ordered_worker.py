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


def fail(piece: bytes) -> None:
    raise OSError("the disk is full")


def put_many(count: int, error: Exception | None = None) -> None:
    with OrderedWorker(fail) as worker:
        for _ in range(count):
            worker.put(b"x")
        if error is not None:
            raise error


@pytest.mark.parametrize("count", [1, 100])
def test_an_error_of_the_work_comes_back(count: int) -> None:
    with pytest.raises(OSError, match="the disk is full"):
        put_many(count)


def test_the_error_of_the_block_goes_first() -> None:
    with pytest.raises(KeyError):
        put_many(1, KeyError())
