"""The errors an artist may see.

PluginError
├── BadPath         a folder name that Nuke would read as code
├── BadRequest      the knobs ask for something that cannot be generated
├── BridgeFailed    the bridge process does not start, or speaks another protocol version
└── HostRefused     Nuke did not take a node, a knob or a value
"""

from __future__ import annotations


class PluginError(Exception):
    """``reason`` for programs, one sentence and a hint for the artist."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint

    def sentence(self) -> str:
        """Return the message and what to do about it, for the artist."""
        return f"{self.message} {self.hint}".strip()


class BadPath(PluginError):
    """A path holds characters that mean something to Nuke."""


class BadRequest(PluginError):
    """The knobs ask for something that cannot be generated."""


class BridgeFailed(PluginError):
    """The bridge process does not start, or speaks another protocol version."""


class HostRefused(PluginError):
    """Nuke did not take a node, a knob or a value."""
