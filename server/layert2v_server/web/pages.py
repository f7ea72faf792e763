"""The page of the queue and results: who is logged in sees jobs, their layers, and cancels.

Every answer forbids inline scripts, frames around it and everything that is not from here. What
changes something is a form with the key of its session.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from layert2v_server.auth import Role
from layert2v_server.domain.job import Job
from layert2v_server.errors import (
    AccessDenied,
    InvalidArgument,
    JobNotFound,
    NotQuarantined,
    ServerError,
    TooManyRequests,
)
from layert2v_server.service.callers import Caller, RateLimit, current_caller
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.web.job_view import view_job
from layert2v_server.web.sessions import SESSION_S, Session, Sessions
from layert2v_server.web.viewer import FILES, INDEX, ViewerMaker

PAGE_SIZE = 50
MAX_FORM_BYTES = 8192
FORM_TIMEOUT_S = 10.0
MAX_CALLS_PER_S = 20.0  # of one user; a page asks once a second
MAX_LOGINS_PER_S = 2.0  # of one address
STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
COOKIE = "layert2v_session"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none, browsers do not say the origin of a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[Request, Session], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageParts:
    """What the pages are made of."""

    monitor: JobMonitor
    artifacts: ArtifactStore
    sessions: Sessions
    viewers: ViewerMaker
    is_secure: bool  # over TLS: the cookie then never travels without


def queue_app(parts: PageParts) -> Starlette:
    """Return the application."""
    pages = _Pages(parts)
    routes = [
        Route("/", pages.start),
        Route("/login", pages.show_login, methods=["GET"]),
        Route("/login", pages.log_in, methods=["POST"]),
        Route("/logout", pages.guard(pages.log_out), methods=["POST"]),
        Route("/static/{name}", pages.static),
        Route("/jobs", pages.guard(pages.list_jobs)),
        Route("/jobs/rows", pages.guard(pages.list_rows)),
        Route("/jobs/{job}", pages.guard(pages.show_job)),
        Route("/jobs/{job}/status", pages.guard(pages.show_status)),
        Route("/jobs/{job}/cancel", pages.guard(pages.cancel), methods=["POST"]),
        Route("/jobs/{job}/release", pages.guard(pages.release), methods=["POST"]),
        Route("/jobs/{job}/preview.png", pages.guard(pages.preview)),
        Route("/jobs/{job}/layers/", pages.guard(pages.viewer)),
        Route("/jobs/{job}/layers/{name}", pages.guard(pages.viewer)),
    ]
    handlers: Any = {
        HTTPException: pages.show_http_error,
        ServerError: pages.show_error,
        Exception: pages.show_fault,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


class _Pages:
    def __init__(self, parts: PageParts) -> None:
        self._monitor = parts.monitor
        self._artifacts = parts.artifacts
        self._sessions = parts.sessions
        self._viewers = parts.viewers
        self._is_secure = parts.is_secure
        # A cookie of this prefix cannot be set by another page of the same domain.
        self._cookie = f"__Host-{COOKIE}" if parts.is_secure else COOKIE
        self._rate_limit = RateLimit(MAX_CALLS_PER_S)
        self._login_limit = RateLimit(MAX_LOGINS_PER_S)
        loader = PackageLoader("layert2v_server.web")
        self._templates = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def guard(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler for those who are logged in; others are sent to the log-in."""

        async def respond(request: Request) -> Response:
            session = self._sessions.find(request.cookies.get(self._cookie, ""))
            if session is None:
                if request.headers.get("x-requested-by") == "page.js":
                    return self._answer("Log in again.", 401)
                return _redirect("/login")
            self._rate_limit.take(session.principal.user)
            caller = Caller(user=session.principal.user, connection=f"web:{_host(request)}")
            current_caller.set(caller)
            if request.method == "POST":
                form = await _read_form(request)
                if not _is_same_origin(request) or not session.is_form_key(form.get("key", "")):
                    return self._message("This form is not from this page, or too old.", 403)
            return await handler(request, session)

        return respond

    async def start(self, request: Request) -> Response:
        return _redirect("/jobs")

    async def show_login(self, request: Request) -> Response:
        return self._render("login.html", problem="")

    async def log_in(self, request: Request) -> Response:
        self._login_limit.take(_host(request))
        form = await _read_form(request)
        if not _is_same_origin(request):
            return self._message("This form is not from this page.", 403)
        try:
            identity = self._sessions.open(form.get("token", "").strip())
        except AccessDenied as error:
            return self._render("login.html", status=401, problem=f"{error.message} {error.hint}")
        response = _redirect("/jobs")
        response.set_cookie(
            self._cookie,
            identity,
            max_age=int(SESSION_S),
            httponly=True,
            samesite="lax",
            # Also behind a proxy that ends TLS: there the form came from a page over TLS.
            secure=self._is_secure or request.headers.get("origin", "").startswith("https:"),
        )
        return response

    async def log_out(self, request: Request, session: Session) -> Response:
        self._sessions.close(request.cookies.get(self._cookie, ""))
        response = _redirect("/login")
        response.delete_cookie(self._cookie, secure=self._is_secure, httponly=True)
        return response

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        data = resources.files(__package__).joinpath("static", name).read_bytes()
        headers = {**HEADERS, "Cache-Control": "no-cache", "Content-Type": STATIC[name]}
        return Response(data, headers=headers)

    async def list_jobs(self, request: Request, session: Session) -> Response:
        return self._render("jobs.html", session=session, **await self._rows(request, session))

    async def list_rows(self, request: Request, session: Session) -> Response:
        rows = await self._rows(request, session)
        return self._fragment(request, "rows.html", session=session, **rows)

    async def show_job(self, request: Request, session: Session) -> Response:
        job = await self._job(request, session)
        return self._render("job.html", session=session, job=view_job(job))

    async def show_status(self, request: Request, session: Session) -> Response:
        job = await self._job(request, session)
        return self._fragment(request, "status.html", session=session, job=view_job(job))

    async def cancel(self, request: Request, session: Session) -> Response:
        job = await self._job(request, session)
        job = await self._monitor.update(self._monitor.store.cancel, job.id)
        if not job.can_run_again:  # otherwise its worker is still running
            removal = self._monitor.pools.removal(is_remote=self._artifacts.is_remote)
            await removal.run(self._artifacts.release_sources, [job.id])
        return _redirect(f"/jobs/{job.id}")

    async def release(self, request: Request, session: Session) -> Response:
        job = await self._job(request, session)
        if session.principal.role is not Role.ADMIN:
            return self._message("Only an admin may send a job again from quarantine.", 403)
        with contextlib.suppress(NotQuarantined):  # somebody has just released it
            await self._monitor.update(self._monitor.store.release, job.id)
        return _redirect(f"/jobs/{job.id}")

    async def preview(self, request: Request, session: Session) -> Response:
        job = await self._job(request, session)
        image = await self._monitor.pools.transfers.run(self._artifacts.read_preview, job.id)
        if image is None:
            raise HTTPException(404)
        return Response(image, headers={**HEADERS, "Content-Type": "image/png"})

    async def viewer(self, request: Request, session: Session) -> Response:
        job = await self._job(request, session)
        name = request.path_params.get("name", INDEX)
        if name not in FILES or not view_job(job).is_done:
            raise HTTPException(404)
        if await self._monitor.run(self._monitor.store.has_untrusted, job.id):
            return self._message(
                "This stack has files that were uploaded and that nobody has opened yet. "
                "Fetch it to look at it.",
                403,
            )
        folder = self._artifacts.viewer_folder(job.id)
        await self._viewers.make(functools.partial(self._open_stack, job.id), folder)
        try:
            data = await self._monitor.pools.chunks.run((folder / name).read_bytes)
        except FileNotFoundError:  # its owner has just deleted the job
            raise HTTPException(404) from None
        return Response(data, headers={**HEADERS, "Content-Type": FILES[name]})

    @contextlib.asynccontextmanager
    async def _open_stack(self, job_id: str) -> AsyncIterator[Path]:
        pools = self._monitor.pools
        try:
            yield await pools.transfers.run(self._artifacts.bring_stack, job_id)
        finally:
            await pools.folders.run(self._artifacts.drop_stack, job_id)

    async def show_http_error(self, request: Request, error: HTTPException) -> Response:
        return self._message(
            "There is no such page." if error.status_code == 404 else error.detail,
            error.status_code,
        )

    async def show_error(self, request: Request, error: ServerError) -> Response:
        status = 404 if isinstance(error, JobNotFound | InvalidArgument) else 503
        if isinstance(error, TooManyRequests):
            status = 429
        return self._message(f"{error.message} {error.hint}".strip(), status)

    async def show_fault(self, request: Request, error: Exception) -> Response:
        # Starlette raises it again after this, and uvicorn logs it.
        return self._message("The server made a mistake. Its log has the details.", 500)

    async def _rows(self, request: Request, session: Session) -> dict[str, Any]:
        before = request.query_params.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) <= 18):
            raise HTTPException(404)
        principal = session.principal
        found = await self._monitor.run(
            self._monitor.store.list_page,
            None if principal.role is Role.ADMIN else principal.user,
            size=PAGE_SIZE + 1,
            before=int(before) if before else None,
        )
        return {
            "jobs": [view_job(job) for _, job in found[:PAGE_SIZE]],
            "before": before,
            "following": found[PAGE_SIZE - 1][0] if len(found) > PAGE_SIZE else 0,
        }

    async def _job(self, request: Request, session: Session) -> Job:
        """Return the job of a path. Raises ``JobNotFound``, also for another user's."""
        identity = request.path_params["job"]
        job = await self._monitor.run(self._monitor.store.get, identity)
        if not session.principal.may_use(job.owner):
            raise JobNotFound(f"jobs/{identity}")  # as for a job that there is not
        return job

    def _render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        text = self._templates.get_template(template).render(**values)
        return self._answer(text, status)

    def _fragment(self, request: Request, template: str, **values: Any) -> Response:
        """Return a part of a page, or 304 where the browser has it."""
        text = self._templates.get_template(template).render(**values)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=HEADERS)
        return HTMLResponse(text, headers={**HEADERS, "ETag": tag})

    def _message(self, sentence: str, status: int) -> Response:
        return self._render("message.html", status=status, sentence=sentence)

    def _answer(self, text: str, status: int) -> Response:
        return HTMLResponse(text, status_code=status, headers=HEADERS)


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises ``HTTPException`` where it is too large or too slow."""
    data = bytearray()
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_FORM_BYTES:
                    raise HTTPException(413, "This form is too large.")
    except TimeoutError:
        raise HTTPException(408, "This form came too slowly.") from None
    except ClientDisconnect:  # who sends no more reads no answer, and fills no log
        raise HTTPException(400, "This form has no end.") from None
    return dict(parse_qsl(data.decode(errors="replace")))


def _is_same_origin(request: Request) -> bool:
    """Tell if a form was sent by a page of this address, as far as the browser says."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    if site not in ("same-origin", "none"):
        return False
    try:
        return not origin or urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # it is no address
        return False


def _redirect(path: str) -> Response:
    return RedirectResponse(path, status_code=303, headers=HEADERS)


def _host(request: Request) -> str:
    return "" if request.client is None else request.client.host
