"""How often callers may call."""

from __future__ import annotations

import pytest

from layert2v_server.errors import TooManyRequests
from layert2v_server.service.callers import BURST_S, MAX_IDLE_USERS, RateLimit


def test_a_user_has_so_many_calls_a_second() -> None:
    now = [0.0]
    limit = RateLimit(2.0, clock=lambda: now[0])
    for _ in range(int(2 * BURST_S)):
        limit.take("anna")
    with pytest.raises(TooManyRequests) as caught:
        limit.take("anna")
    assert caught.value.retry_after_s == pytest.approx(0.5)
    limit.take("bert")  # has calls of his own
    now[0] += 0.5
    limit.take("anna")
    with pytest.raises(TooManyRequests):
        limit.take("anna")


def test_silence_saves_no_more_than_a_burst() -> None:
    now = [0.0]
    limit = RateLimit(0.5, clock=lambda: now[0])
    now[0] += 1e9
    for _ in range(int(0.5 * BURST_S)):
        limit.take("anna")
    with pytest.raises(TooManyRequests):
        limit.take("anna")


def test_users_are_forgotten() -> None:
    limit = RateLimit(1.0)
    for number in range(MAX_IDLE_USERS + 10):
        limit.take(str(number))
    assert len(limit._buckets) == MAX_IDLE_USERS
