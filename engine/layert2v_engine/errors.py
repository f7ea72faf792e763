"""The errors of the engine, as one tree.

EngineError
├── InvalidSpec        a request that no model here can fulfil (carries the field violations)
├── ModelNotFound      no checkpoint of that name or folder
├── BadCheckpoint      a checkpoint folder that cannot be read or does not fit together
├── WeightsMissing     weights of a recipe that are not here, or not whole
├── LicenceRefused     a network whose licence does not allow what is allowed here
├── RecipeUnknown      a way to make a stack that this engine does not know
├── BadDevice          a device that torch does not have here
├── BadConfig          a training configuration its stage does not understand
├── MissingStage       a training stage asked for before the one it builds on
├── Cancelled          the caller asked to stop
├── DiskFull           the output did not fit on the disk
├── OutOfMemory        the request did not fit into memory
├── ColorError         a color configuration or color space that cannot be used
├── FootageError       a video or image sequence that cannot be read or does not fit the others
└── StackError         a layer stack on disk that cannot be read, written or made

Every error has a ``reason`` for programs (UPPER_SNAKE), a sentence for people and a hint that says
what to do. Nothing here knows gRPC, jobs or files of a particular format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layert2v.spec import FieldViolation


class EngineError(Exception):
    """Root of the tree; raised as such only by sub-packages that have no better word."""

    reason = "ENGINE_ERROR"

    def __init__(self, message: str, hint: str = "", *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if reason is not None:
            self.reason = reason

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidSpec(EngineError):
    """A request outside the limits of its model."""

    reason = "INVALID_SPEC"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.message}" for v in violations))


class ModelNotFound(EngineError):
    """No checkpoint of that name or folder."""

    reason = "MODEL_NOT_FOUND"


class BadCheckpoint(EngineError):
    """A checkpoint that cannot be read or whose parts do not fit together."""

    reason = "BAD_CHECKPOINT"


class WeightsMissing(EngineError):
    """Weights of a recipe that are not here, or not whole."""

    reason = "WEIGHTS_MISSING"


class LicenceRefused(EngineError):
    """A network whose licence does not allow what is allowed here."""

    reason = "LICENCE_REFUSED"


class RecipeUnknown(EngineError):
    """A way to make a stack that this engine does not know."""

    reason = "RECIPE_UNKNOWN"


class BadDevice(EngineError):
    """A device that torch does not have here."""

    reason = "BAD_DEVICE"


class BadConfig(EngineError):
    """A training configuration that does not say what its stage understands."""

    reason = "BAD_CONFIG"


class MissingStage(EngineError):
    """A training stage was asked for before the one it builds on."""

    reason = "MISSING_STAGE"


class Cancelled(EngineError):
    """The caller asked to stop; nothing half-written is left behind."""

    reason = "CANCELLED"


class DiskFull(EngineError):
    """The output did not fit on the disk."""

    reason = "DISK_FULL"


class OutOfMemory(EngineError):
    """The request did not fit into memory."""

    reason = "OUT_OF_MEMORY"


class ColorError(EngineError):
    """A color configuration or color space that cannot be used."""

    reason = "COLORSPACE_UNUSABLE"


class FootageError(EngineError):
    """A video or image sequence that cannot be read or does not fit the others."""

    reason = "FOOTAGE_UNUSABLE"


class StackError(EngineError):
    """A layer stack on disk that cannot be read, written or made."""

    reason = "STACK_UNUSABLE"
