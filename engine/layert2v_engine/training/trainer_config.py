"""How one phase is optimised, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerConfig:
    """How one phase is optimised. ``budget_s`` counts training time, not validation or samples.

    With ``steps`` a phase takes so many, however long that is: for trainings that are compared.
    """

    budget_s: float = 60.0
    steps: int = 0  # 0: as many as the budget allows
    lr: float = 1e-3
    muon_lr: float = 0.0  # 0: AdamW for everything
    muon_iterations: int = 5  # of Newton-Schulz, which make a gradient orthogonal
    weight_decay: float = 0.01  # of matrices and kernels
    warmup_steps: int = 60
    flat_share: float = 0.6  # then linear decay to 2 %
    clip_norm: float = 1.0
    ema: float = 0.999
    log_every: int = 50
    validate_every_s: float = 120.0
    save_every_s: float = 120.0
