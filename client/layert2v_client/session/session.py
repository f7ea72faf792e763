"""A session: what hosts use to submit requests and to read what has happened.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from layert2v.atomic_write import atomic_write
from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_client import types
from layert2v_client.client import Client, connect
from layert2v_client.connection import Tls
from layert2v_client.errors import ClientError, NotFound
from layert2v_client.local_server import SharedServer
from layert2v_client.session.cache import DEFAULT_ROOT, Cache, Removable
from layert2v_client.session.event_queue import EventQueue
from layert2v_client.session.events import Event, PreviewUpdated, RequestSucceeded
from layert2v_client.session.operations import Attach, Change, Decompose, Generate
from layert2v_client.session.reconnect import ReconnectingClient
from layert2v_client.session.request import Operation, RequestThread
from layert2v_client.transfer import TransferOptions
from layert2v_client.types import JobState

RETRY_TIMEOUT_S = 5.0  # of a transfer; then the request waits until the server is back
KEEP_JOBS_S = 600.0  # another session may still be downloading a new result
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
    """Return settings as a host sends them, with defaults. Raises ``SpecError``."""
    plain = {**asdict(SessionSettings()), "cache": "", "models": "", "path_map": []}
    JsonObject(value, "settings", SpecError)  # refuses what is no object
    fields = JsonObject({**plain, **value}, "settings", SpecError)
    cache, models = fields.text("cache"), fields.text("models")
    settings = SessionSettings(
        server=fields.text("server"),
        token=fields.text("token"),
        certificate=fields.text("certificate"),
        cache=Path(cache) if cache else None,
        cache_limit_bytes=fields.integer("cache_limit_bytes"),
        path_map=_read_path_map(fields),
        python=fields.text("python"),
        models=Path(models) if models else None,
    )
    fields.refuse_unknown()
    return settings


class Session:
    """A connection to one server with all requests over it."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self._cache = Cache(settings.cache or DEFAULT_ROOT, settings.cache_limit_bytes)
        self._queue = EventQueue()
        start_server = None if settings.server else self._start_local_server
        self._connection = ReconnectingClient(start_server, self._make_client, self._queue.put)
        self._lock = threading.Lock()
        self._requests: dict[str, RequestThread] = {}
        self._closed = False

    def connect(self) -> None:
        """Look for the server now, and keep looking; ``Connected`` or ``Disconnected`` follows."""
        self._connection.start()

    def generate(
        self,
        spec: GenerateSpec,
        *,
        folder: Path | None = None,
        request_id: str = "",
        priority: str = "",
    ) -> str:
        """Make a stack in ``folder``, new or empty; None means a folder of the cache.

        ``priority`` is one of ``layert2v.priorities``, "" for the normal one. Returns the request's
        id. The same ``request_id`` (a UUID) again is the same job, so a host that was closed before
        it knew the job's name can ask again.
        """
        name = request_id or str(uuid.uuid4())
        folder = folder or self._cache.stack_folder(spec.prompt, name)
        self._start_request(
            name, Generate(spec, folder, is_retry=bool(request_id), priority=priority)
        )
        return name

    def rerender(
        self,
        stack_folder: Path,
        spec: RerenderSpec,
        inputs: Mapping[str, Sequence[str]],
        *,
        request_id: str = "",
        priority: str = "",
    ) -> str:
        """Make a new state of the stack in ``stack_folder``, which gets it when it is done.

        ``inputs`` gives the files for the input keys of ``spec``: pictures in order, or one folder
        of pictures, or the one folder of a donor's stack. Returns the request's id.
        """
        name = request_id or str(uuid.uuid4())
        paths = {key: tuple(Path(path) for path in given) for key, given in inputs.items()}
        self._start_request(name, Change(stack_folder, spec, paths, priority=priority))
        return name

    def decompose(
        self,
        spec: DecomposeSpec,
        inputs: Mapping[str, Sequence[str]],
        *,
        folder: Path | None = None,
        request_id: str = "",
        priority: str = "",
    ) -> str:
        """Make a stack of footage in ``folder``, new or empty; None means a folder of the cache.

        ``inputs`` gives for each input key of ``spec``, the footage among them, files in order, or
        one folder, movie or pattern. Returns the request's id, as ``generate`` does.
        """
        name = request_id or str(uuid.uuid4())
        paths = {key: tuple(Path(path) for path in given) for key, given in inputs.items()}
        footage = paths.get(spec.footage.input, ())
        title = spec.name or (footage[0].stem if footage else "footage")
        folder = folder or self._cache.stack_folder(title, name)
        operation = Decompose(spec, paths, folder, is_retry=bool(request_id), priority=priority)
        self._start_request(name, operation)
        return name

    def refine(
        self,
        stack_folder: Path,
        spec: RefineSpec,
        inputs: Mapping[str, Sequence[str]],
        *,
        request_id: str = "",
        priority: str = "",
    ) -> str:
        """Make a new state of a decomposed stack with another matte; see ``rerender``."""
        name = request_id or str(uuid.uuid4())
        paths = {key: tuple(Path(path) for path in given) for key, given in inputs.items()}
        self._start_request(name, Change(stack_folder, spec, paths, priority=priority))
        return name

    def attach(self, request_id: str, job: str, folder: Path) -> None:
        """Follow a job from an earlier session to its end and download it to ``folder``."""
        self._start_request(request_id, Attach(folder), job)

    def cancel(self, request_id: str) -> None:
        """Cancel a request, whatever its state; nothing happens to one that has ended."""
        with self._lock:
            request = self._requests.get(request_id)
        if request is not None:
            request.cancel()

    def events(self, timeout_s: float = 0.0) -> list[Event]:
        """Return what has happened since the last call, oldest first; wait when nothing has.

        Progress and previews of one request replace each other until they are read; how a request
        ended never gets lost.
        """
        return self._queue.take(timeout_s)

    def close(self) -> None:
        """End the connection and all threads. Jobs go on where the server does."""
        with self._lock:
            self._closed = True
            requests = list(self._requests.values())
        for request in requests:
            request.close()
        self._connection.close()
        for request in requests:
            request.join()
        self._queue.wake()

    def _start_request(self, request_id: str, operation: Operation, job: str = "") -> None:
        options = TransferOptions(
            retry_timeout_s=RETRY_TIMEOUT_S,
            path_map=self.settings.path_map,
            # Only where nobody paints: the server's own copy is the same file then.
            link=self._cache.contains(operation.folder),
        )
        request = RequestThread(
            request_id,
            operation,
            connection=self._connection,
            options=options,
            emit=self._emit,
            on_preview=self._save_preview,
            job=job,
        )
        with self._lock:
            previous = self._requests.get(request_id)
            if self._closed or (previous is not None and not previous.is_finished):
                return  # it is on its way already
            self._requests[request_id] = request
            request.start()
        self._connection.start()

    def _emit(self, event: Event) -> None:
        self._queue.put(event)
        if isinstance(event, RequestSucceeded):
            self._trim_cache()

    def _save_preview(self, request_id: str, preview: types.Preview) -> None:
        path = self._cache.preview(request_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, preview.data, durable=False)
        except OSError:
            _log.warning("no preview in %s", path, exc_info=True)
            return
        self._queue.put(PreviewUpdated(request_id, str(path)))

    def _start_local_server(self, stop: threading.Event) -> SharedServer:
        return SharedServer(
            self._cache.server_data,
            python=self.settings.python,
            models=self.settings.models,
            stop=stop,
        )

    def _make_client(self, local: str) -> Client:
        if local:
            return connect(local)
        certificate = self.settings.certificate
        tls = Tls(authority=Path(certificate)) if certificate else None
        return connect(self.settings.server, self.settings.token or None, tls)

    def _trim_cache(self) -> None:
        """Keep the cache below its limit; never remove what this session has asked for."""
        with self._lock:
            requests = list(self._requests.values())
        folders = [request.operation.folder for request in requests]
        # The files of a stack in the cache are those of its job: removing one frees nothing.
        jobs = {
            request.job
            for request in requests
            if not request.is_finished or self._cache.contains(request.operation.folder)
        }
        try:
            self._cache.trim(folders, self._removable_jobs(jobs))
        except (OSError, ClientError):
            _log.warning("the cache cannot be trimmed", exc_info=True)

    def _removable_jobs(self, in_use: set[str]) -> Iterator[Removable]:
        """Yield the jobs of the local server that may be removed; other servers' are not ours."""
        client = self._connection.wait_for_client(lambda: self._connection.is_connected)
        if self.settings.server or client is None:
            return
        latest = time.time() - KEEP_JOBS_S
        for status in client.jobs(ENDED):
            ended = 0.0 if status.ended is None else status.ended.timestamp()
            if ended < latest and status.name not in in_use:
                yield Removable(ended, _make_remover(client, status.name))


def _make_remover(client: Client, job: str) -> Callable[[], None]:
    def remove() -> None:
        with suppress(NotFound):  # another session was faster
            client.job(job).delete()

    return remove


def _read_path_map(fields: JsonObject) -> tuple[tuple[str, str], ...]:
    pairs = fields.value("path_map")
    is_valid = isinstance(pairs, list) and all(
        isinstance(pair, list) and [type(text) for text in pair] == [str, str] for pair in pairs
    )
    if not is_valid:
        raise fields.value_error("path_map", "a list of pairs of prefixes")
    return tuple((there, here) for there, here in pairs)
