"""The state of a training on disk: weights, averages, optimizers and counters in one file.

The file is written as a whole or not at all, so that counters always belong to their weights.
Folders of before, with the counters in a file of their own, are read too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.errors import EngineError
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.tensor_file import open_tensors
from layert2v_engine.training.sharding import find_shards

STATE = "state.safetensors"
_OLD_COUNTERS = "state.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingState:
    """All that a training needs to go on as if it had not stopped.

    ``weights`` lack what was left out on the way to another machine: there the averages take their
    place and the optimizers start anew. ``old_rows`` are optimizer entries of folders of before, by
    optimizer and row.
    """

    step: int
    spent_s: float
    averages: Mapping[str, Tensor]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    old_rows: Mapping[tuple[int, int], Mapping[str, Tensor]] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the state into ``folder`` in place of an older one."""
        tensors = {f"model.{n}": p for n, p in self.weights.items()}
        tensors |= {f"average.{n}": p for n, p in self.averages.items()}
        for name, entries in self.optimizer.items():
            tensors |= {f"optimizer.{key}.{name}": value for key, value in entries.items()}
        counters = {"step": str(self.step), "spent_s": repr(self.spent_s)}
        with atomic_write(folder / STATE) as temporary:
            save_file(
                {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, counters
            )
        (folder / _OLD_COUNTERS).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> TrainingState | None:
        """Return what was saved in ``folder``; None where there is nothing.

        Raises EngineError for a file that cannot be gone on from.
        """
        if not (folder / STATE).exists():
            return None
        with open_tensors(folder / STATE) as file:
            counters = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if is_old := "step" not in counters:
            counters = _old_counters(folder)
        optimizer: dict[str, dict[str, Tensor]] = {}
        old_rows: dict[tuple[int, int], dict[str, Tensor]] = {}
        for key, tensor in _part(tensors, "optimizer.").items():
            first, name = key.split(".", 1)
            if is_old:
                row, entry = name.split(".", 1)
                old_rows.setdefault((int(first), int(row)), {})[entry] = tensor
            else:
                optimizer.setdefault(name, {})[first] = tensor
        return cls(
            step=int(counters["step"]),
            spent_s=float(counters["spent_s"]),
            averages=_part(tensors, "average."),
            weights=_part(tensors, "model."),
            optimizer=optimizer,
            old_rows=old_rows,
        )


def has_state(folder: Path) -> bool:
    """Return whether a training in ``folder`` can be gone on with."""
    return (folder / STATE).exists() or find_shards(folder) is not None


def _old_counters(folder: Path) -> dict[str, float]:
    path = folder / _OLD_COUNTERS
    if not path.exists():
        raise EngineError(
            f"{folder / STATE} does not say at which step it was saved.",
            "Start in a new run folder.",
        )
    counters: dict[str, float] = json.loads(path.read_text())
    return counters


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
