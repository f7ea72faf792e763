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

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from layert2v.errors import SpecError
from layert2v.json_reader import Fields
from layert2v.rerender.validation import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_client import types
from layert2v_client.client import Client, connect
from layert2v_client.connection import Tls
from layert2v_client.errors import ClientError
from layert2v_client.local_server.shared import LocalServer
from layert2v_client.session.cache import DEFAULT_ROOT, Cache, Removable
from layert2v_client.session.event_queue import EventQueue
from layert2v_client.session.events import Event, PreviewUpdated, RequestSucceeded
from layert2v_client.session.operations import AttachedWish, GenerateWish, RerenderWish
from layert2v_client.session.reconnect import Line
from layert2v_client.session.request import Errand, Wish
from layert2v_client.transfer.download import Terms
from layert2v_client.types import JobState

PATIENCE_S = 5.0  # of a transfer; then the line says that the server is away
KEEP_JOBS_S = 600.0  # another session may still be fetching what has just been made
ENDED = (JobState.succeeded, JobState.failed, JobState.cancelled)

_log = logging.getLogger(__name__)


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


def settings_from_json(value: Any) -> SessionSettings:
    """Settings as a host sends them; what is left out keeps its default. Raises ``SpecError``."""
    plain = {**asdict(SessionSettings()), "cache": "", "models": "", "path_map": []}
    Fields(value, "settings", SpecError)  # refuses what is no object
    fields = Fields({**plain, **value}, "settings", SpecError)
    cache, models = fields.text("cache"), fields.text("models")
    settings = SessionSettings(
        server=fields.text("server"),
        token=fields.text("token"),
        certificate=fields.text("certificate"),
        cache=Path(cache) if cache else None,
        cache_limit_bytes=fields.integer("cache_limit_bytes"),
        path_map=_pairs(fields),
        python=fields.text("python"),
        models=Path(models) if models else None,
    )
    fields.done()
    return settings


class Session:
    """A line to one server with everything that is asked over it."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self._cache = Cache(settings.cache or DEFAULT_ROOT, settings.cache_limit_bytes)
        self._queue = EventQueue()
        find = None if settings.server else self._find_local
        self._line = Line(find, self._reach, self._queue.put)
        self._guard = threading.Lock()
        self._errands: dict[str, Errand] = {}
        self._closed = False

    def connect(self) -> None:
        """Look for the server now, and keep looking; ``Connected`` or ``Disconnected`` follows."""
        self._line.start()

    def generate(
        self, spec: GenerateSpec, *, folder: Path | None = None, request_id: str = ""
    ) -> str:
        """Make a stack in ``folder``, new or empty; None means a folder of the cache.

        Returns the request's id. The same ``request_id`` (a UUID) again is the same job, so a host
        that was closed before it knew the job's name can ask again.
        """
        name = request_id or str(uuid.uuid4())
        place = folder or self._cache.stack_folder(spec.prompt, name)
        self._set_out(name, GenerateWish(spec, place, asked_again=bool(request_id)))
        return name

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
        name = request_id or str(uuid.uuid4())
        paths = {key: tuple(Path(path) for path in given) for key, given in inputs.items()}
        self._set_out(name, RerenderWish(stack_folder, spec, paths))
        return name

    def attach(self, request_id: str, job: str, folder: Path) -> None:
        """Follow a job from an earlier session to its end and bring it to ``folder``."""
        self._set_out(request_id, AttachedWish(folder), job)

    def cancel(self, request_id: str) -> None:
        """Stop a request in whatever state it is; nothing happens to one that has ended."""
        with self._guard:
            errand = self._errands.get(request_id)
        if errand is not None:
            errand.cancel()

    def events(self, timeout_s: float = 0.0) -> list[Event]:
        """What has happened since the last call, oldest first; waits when nothing has.

        Progress and previews of one request replace each other until they are read; how a request
        ended never gets lost.
        """
        return self._queue.take(timeout_s)

    def close(self) -> None:
        """End the line and all threads. Jobs go on where the server does."""
        with self._guard:
            self._closed = True
            errands = list(self._errands.values())
        for errand in errands:
            errand.close()
        self._line.close()
        for errand in errands:
            errand.join()
        self._queue.wake()

    def _set_out(self, request_id: str, wish: Wish, job: str = "") -> None:
        terms = Terms(
            patience_s=PATIENCE_S,
            path_map=self.settings.path_map,
            # Only where nobody paints: the server's own copy is the same file then.
            link=self._cache.holds(wish.folder),
        )
        errand = Errand(
            request_id,
            wish,
            line=self._line,
            terms=terms,
            tell=self._tell,
            show=self._show,
            job=job,
        )
        with self._guard:
            former = self._errands.get(request_id)
            if self._closed or (former is not None and not former.is_over):
                return  # it is on its way already
            self._errands[request_id] = errand
            errand.start()
        self._line.start()

    def _tell(self, event: Event) -> None:
        self._queue.put(event)
        if isinstance(event, RequestSucceeded):
            self._trim()

    def _show(self, request_id: str, preview: types.Preview) -> None:
        path = self._cache.preview(request_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(preview.data)
            temporary.replace(path)
        except OSError:
            _log.warning("no preview in %s", path, exc_info=True)
            return
        self._queue.put(PreviewUpdated(request_id, str(path)))

    def _find_local(self, stop: threading.Event) -> LocalServer:
        return LocalServer(
            self._cache.server_data,
            python=self.settings.python,
            models=self.settings.models,
            stop=stop,
        )

    def _reach(self, local: str) -> Client:
        if local:
            return connect(local)
        certificate = self.settings.certificate
        tls = Tls(authority=Path(certificate)) if certificate else None
        return connect(self.settings.server, self.settings.token or None, tls)

    def _trim(self) -> None:
        """Keep the cache below its limit; never what this session has asked for."""
        with self._guard:
            errands = list(self._errands.values())
        folders = [errand.wish.folder for errand in errands]
        jobs = {errand.job for errand in errands if not errand.is_over}
        try:
            self._cache.trim(folders, self._old_jobs(jobs))
        except (OSError, ClientError):
            _log.warning("the cache cannot be trimmed", exc_info=True)

    def _old_jobs(self, in_use: set[str]) -> Iterator[Removable]:
        """The jobs of the local server that may go; others belong to somebody else's disk."""
        client = self._line.client(lambda: self._line.is_up)
        if self.settings.server or client is None:
            return
        latest = time.time() - KEEP_JOBS_S
        for status in client.jobs(ENDED):
            ended = 0.0 if status.ended is None else status.ended.timestamp()
            if ended < latest and status.name not in in_use:
                yield Removable(ended, client.job(status.name).delete)


def _pairs(fields: Fields) -> tuple[tuple[str, str], ...]:
    pairs = fields.raw("path_map")
    right = isinstance(pairs, list) and all(
        isinstance(pair, list) and [type(text) for text in pair] == [str, str] for pair in pairs
    )
    if not right:
        raise fields.wrong("path_map", "a list of pairs of prefixes")
    return tuple((there, here) for there, here in pairs)
