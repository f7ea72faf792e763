"""The errors of the contract package.

ContractError
├── SpecError       a request or a model description cannot be read
└── ManifestError   a ``stack.json`` cannot be read or would be wrong if written
"""

from __future__ import annotations


class ContractError(ValueError):
    """A document breaks the contract: ``reason`` for programs, a sentence and a hint for people."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


class SpecError(ContractError):
    """A request or a model description cannot be read."""


class ManifestError(ContractError):
    """A stack manifest cannot be read, or would be wrong if it were written."""
