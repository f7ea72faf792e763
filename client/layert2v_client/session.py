"""What hosts use: ask, go on, and read what has happened.

    session = Session(SessionSettings(server="render01:7433"))
    session.connect()
    request = session.generate(GenerateSpec(prompt="a red fox in the snow"))
    for event in session.events():     # from a timer, as often as the host likes
        ...
    session.close()

Every method returns at once and may be called from any thread; whatever happens, wrong input
included, is an event. Knows no host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v.spec import GenerateSpec
from layert2v_client.events import (
    Connected,
    Disconnected,
    Event,
    JobCancelled,
    JobChanged,
    JobDone,
    JobFailed,
    JobUnknown,
    Preview,
)

if TYPE_CHECKING:
    from layert2v.rerender import RerenderSpec

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "JobCancelled",
    "JobChanged",
    "JobDone",
    "JobFailed",
    "JobUnknown",
    "Preview",
    "Session",
    "SessionSettings",
]


@dataclass(frozen=True)
class SessionSettings:
    """Where the server is and what this machine may keep.

    ``server`` empty means a server on this machine that is started when it is needed, shared by
    the sessions with the same ``cache``, and ended with the last of them; ``python`` is the
    interpreter that has it, empty for this one, and ``models`` its folder of checkpoints.
    ``certificate`` is a PEM file of the authority that signed the server's. ``cache`` None means
    ``~/.layert2v``. ``path_map`` turns prefixes of the server's paths into this machine's, so that
    files on shared storage are copied instead of fetched.
    """

    server: str = ""
    token: str = field(default="", repr=False)
    certificate: str = ""
    cache: Path | None = None
    cache_limit_bytes: int = 20_000_000_000
    path_map: tuple[tuple[str, str], ...] = ()
    python: str = ""
    models: Path | None = None


class Session:
    """A line to one server with everything that is asked over it."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings

    def connect(self) -> None:
        """Look for the server now, and keep looking; ``Connected`` or ``Disconnected`` follows."""

    def generate(
        self, spec: GenerateSpec, *, folder: Path | None = None, request_id: str = ""
    ) -> str:
        """Make a stack in ``folder``, new or empty; None means a folder of the cache.

        Returns the request's id. The same ``request_id`` (a UUID) again is the same job, so a host
        that was closed before it knew the job's name can ask again.
        """
        raise NotImplementedError

    def rerender(
        self,
        stack_folder: Path,
        spec: RerenderSpec,
        inputs: Mapping[str, Sequence[str]],
        *,
        request_id: str = "",
    ) -> str:
        """Make a new state of the stack in ``stack_folder``, which gets it when it is done.

        ``inputs`` gives the files for the input keys of ``spec``: pictures in order, or one folder
        of pictures, or the one folder of a donor's stack. Returns the request's id.
        """
        raise NotImplementedError

    def attach(self, request_id: str, job: str, folder: Path) -> None:
        """Follow a job from an earlier session to its end and bring it to ``folder``."""

    def cancel(self, request_id: str) -> None:
        """Stop a request in whatever state it is."""

    def events(self, timeout_s: float = 0.0) -> list[Event]:
        """What has happened since the last call, oldest first; waits when nothing has.

        Progress and previews of one request replace each other until they are read; how a request
        ended never gets lost.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the line and all threads. Jobs go on where the server does."""
