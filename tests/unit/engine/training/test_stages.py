"""How preparations of a run are logged."""

from __future__ import annotations

import logging

import pytest

from layert2v_engine.training.stages import LOG_EVERY_S, PreparationLog


def test_slow_items_are_logged_by_the_clock_and_the_last_one_always(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    log = PreparationLog(clock=lambda: now)
    with caplog.at_level(logging.INFO):
        for done in range(1, 11):
            log("subjects", done, 10)
            now += LOG_EVERY_S / 4
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [f"prepare=subjects done={done}/10" for done in (1, 5, 9, 10)]


def test_each_preparation_begins_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    log = PreparationLog(clock=lambda: 0.0)
    with caplog.at_level(logging.INFO):
        log("subjects", 1, 9)
        log("plates", 1, 9)
    assert len(caplog.records) == 2
