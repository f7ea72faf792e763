"""The streams a model denoises together: their order, roles and the prompts each one attends to.

Knows names and indices only: no tensors, no sizes. Everything that touches the network speaks of a
``StreamLayout``, so a scene with three foregrounds is a longer list and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

GLOBAL_PROMPT = "global"
BACKGROUND_PROMPT = "background"


class StreamRole(StrEnum):
    """What a stream shows; the network learns one modulation row for each."""

    composite = "composite"
    background = "background"
    foreground = "foreground"
    matte = "matte"
    shadow = "shadow"


# The streams that belong to one foreground, in the order they are serialized.
FOREGROUND_ROLES = (StreamRole.foreground, StreamRole.matte, StreamRole.shadow)
OPACITY_ROLES = (StreamRole.matte, StreamRole.shadow)  # one plane, not three colors


class Figure(NamedTuple):
    """A subject by name, its heading and spot; empty strings where nothing is known."""

    subject: str = ""
    heading: str = ""
    spot: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One latent sequence; ``foreground``, for the roles that belong to one, counts from 1."""

    role: StreamRole
    foreground: int | None = None

    def __post_init__(self) -> None:
        if (self.role in FOREGROUND_ROLES) != (self.foreground is not None):
            raise ValueError(f"{self.role}: a foreground number belongs to {FOREGROUND_ROLES} only")
        if self.foreground is not None and self.foreground < 1:
            raise ValueError(f"foregrounds count from 1, not {self.foreground}")

    @property
    def name(self) -> str:
        """``composite``, ``background``, ``foreground_01``, ``matte_01``, ``shadow_01``, ..."""
        return self.role.value if self.foreground is None else f"{self.role}_{self.foreground:02d}"


@dataclass(frozen=True)
class StreamLayout:
    """Streams in the order they are serialized along latent time.

    Prompts are ordered ``global``, ``foreground_01`` .. ``foreground_KK``, ``background``.
    """

    streams: tuple[Stream, ...]

    def __post_init__(self) -> None:
        if not self.streams or len(set(self.names)) != len(self.streams):
            raise ValueError(f"a layout needs one or more different streams, not {self.names}")

    @classmethod
    def for_foregrounds(cls, count: int, *, shadows: bool = True) -> StreamLayout:
        """Return composite, background, then foreground, matte (and shadow) per foreground."""
        roles = FOREGROUND_ROLES if shadows else FOREGROUND_ROLES[:2]
        layers = tuple(
            Stream(role=role, foreground=k) for k in range(1, count + 1) for role in roles
        )
        flat = (Stream(role=StreamRole.composite), Stream(role=StreamRole.background))
        return cls(flat + layers)

    def __len__(self) -> int:
        return len(self.streams)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the streams, in their order."""
        return tuple(stream.name for stream in self.streams)

    @cached_property
    def foregrounds(self) -> int:
        """The highest foreground number, 0 for a scene without one."""
        return max((stream.foreground or 0 for stream in self.streams), default=0)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """Names of the prompts this layout is conditioned on, in their order.

        A scene of the composite alone has the global one only.
        """
        if self.names == (StreamRole.composite.value,):
            return (GLOBAL_PROMPT,)
        foregrounds = (f"foreground_{k:02d}" for k in range(1, self.foregrounds + 1))
        return (GLOBAL_PROMPT, *foregrounds, BACKGROUND_PROMPT)

    @cached_property
    def attended_prompts(self) -> tuple[tuple[int, ...], ...]:
        """For each stream the indices of the prompts it attends to.

        The composite attends to all, the background to global + background, and a foreground with
        its matte and shadow to global + its own prompt.
        """
        return tuple(self._prompts_of(stream) for stream in self.streams)

    def routed_prompts(self, routing: str) -> tuple[tuple[int, ...], ...]:
        """Return the prompt indices per stream under a checkpoint's ``routing``.

        ``layered`` is ``attended_prompts``; with ``joint`` every stream attends to the global
        prompt alone.
        """
        return self.attended_prompts if routing == "layered" else ((0,),) * len(self)

    def _prompts_of(self, stream: Stream) -> tuple[int, ...]:
        if stream.role is StreamRole.composite:
            return tuple(range(len(self.prompts)))
        if stream.foreground is None:
            return (0, len(self.prompts) - 1)
        return (0, stream.foreground)

    def index(self, name: str) -> int:
        """Return the position of the stream called ``name``. Raises ValueError without one."""
        return self.names.index(name)

    def is_opacity(self, name: str) -> bool:
        """Return whether the stream called ``name`` is a matte or a shadow."""
        return self.streams[self.index(name)].role in OPACITY_ROLES

    def modulation_rows(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the LayerAdaLN row of each stream in a checkpoint with rows called ``names``.

        A row named after the stream (``foreground_02``) wins over its role's row (``foreground``).
        Raises ValueError when the checkpoint knows neither.
        """
        order = list(names)
        return tuple(
            order.index(stream.name if stream.name in order else stream.role.value)
            for stream in self.streams
        )
