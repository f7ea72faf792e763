"""What a task needs of its machine, and how a job is to be queued; each manager says it its way."""

from __future__ import annotations

from dataclasses import dataclass, fields

from layert2v_engine.farm.shots import ShotsError


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """Per task; 0 and empty leave it to the farm. Memory is in GiB.

    ``limits`` are names of licence or resource limits that the farm counts.
    """

    gpus: int = 0
    gpu_memory_gib: float = 0.0
    memory_gib: float = 0.0
    cores: int = 0
    priority: int = 50
    pool: str = ""
    group: str = ""
    limits: tuple[str, ...] = ()

    def check(self) -> Requirements:
        """Return these if they can be met. Raises ``ShotsError``."""
        for name in ("gpus", "gpu_memory_gib", "memory_gib", "cores"):
            if not 0 <= getattr(self, name) < 1e6:
                raise ShotsError(f"{name} must not be negative, and below a million.")
        if not 0 <= self.priority <= 100:
            raise ShotsError("priority must be between 0 and 100.")
        if self.gpu_memory_gib and not self.gpus:
            raise ShotsError("GPU memory without a GPU cannot be asked for.", "Add --gpus 1.")
        for field in fields(self):
            value = getattr(self, field.name)
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and any(sign in text for sign in "\n\r,;="):
                    raise ShotsError(f"{field.name} {text!r} is no name that a farm has.")
        return self
