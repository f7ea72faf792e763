"""The settings of a Nuke project that requests depend on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProjectSettings:
    """Size in pixels, frame range and rate, and the working space.

    ``working_space`` is the id of a color space, "" where the project's names do not say which.
    """

    width: int
    height: int
    first: int
    last: int
    fps: float
    working_space: str = ""

    @property
    def frames(self) -> int:
        """The length of the range."""
        return self.last - self.first + 1
