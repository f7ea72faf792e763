"""The cost cap of a build whose stages ask from many processes: no more requests than one may make.

An item is given as many as it may need at most; what it did not need comes back with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layert2v_engine.vidlayer.plan import BuildPlan


class RequestBudget:
    """Requests that may still be made, by stage; stages that ask nobody are not in it."""

    def __init__(self, left: Mapping[str, int], per_item: Mapping[str, int]) -> None:
        self._left, self._per_item = dict(left), dict(per_item)
        self._lent = dict.fromkeys(left, 0)

    @classmethod
    def of_plan(cls, plan: BuildPlan) -> RequestBudget:
        """Return the budget of a build, in which every try and every vote counts."""
        configs = {"annotate": (plan.annotator, 1), "inspect": (plan.inspector, plan.votes)}
        asked = {name: (config, votes) for name, (config, votes) in configs.items() if config}
        return cls(
            {name: config.max_requests for name, (config, _) in asked.items()},
            {name: config.tries * votes for name, (config, votes) in asked.items()},
        )

    def lend(self, stages: Sequence[str]) -> dict[str, int] | None:
        """Return what an item may ask in these stages; None: wait until others have come back."""
        asking = [name for name in stages if name in self._left]
        loans = {name: min(self._per_item[name], self._left[name]) for name in asking}
        if any(loans[name] < self._per_item[name] and self._lent[name] for name in asking):
            return None
        for name, count in loans.items():
            self._left[name] -= count
            self._lent[name] += count
        return loans

    def settle(self, loans: Mapping[str, int], made: Mapping[str, int] | None) -> None:
        """Take back what was not asked; of a lost actor (None) all counts as asked."""
        for name, count in loans.items():
            self._lent[name] -= count
            self._left[name] += 0 if made is None else count - made[name]
