from __future__ import annotations

from layert2v_engine.vidlayer.cluster.budget import RequestBudget


def test_requests_are_lent_and_those_not_made_come_back() -> None:
    budget = RequestBudget({"inspect": 10}, {"inspect": 4})
    first, second = budget.lend(["cut", "inspect"]), budget.lend(["inspect"])
    assert first == second == {"inspect": 4}
    assert budget.lend(["inspect"]) is None  # two are left, more may come back
    budget.settle(first or {}, {"inspect": 1})
    assert budget.lend(["inspect"]) == {"inspect": 4}


def test_the_last_requests_are_given_when_nothing_can_come_back() -> None:
    budget = RequestBudget({"inspect": 5}, {"inspect": 4})
    first = budget.lend(["inspect"])
    budget.settle(first or {}, None)  # of a lost actor all count
    assert budget.lend(["inspect"]) == {"inspect": 1}


def test_stages_that_ask_nobody_are_not_limited() -> None:
    budget = RequestBudget({}, {})
    assert budget.lend(["cut", "write"]) == {}
