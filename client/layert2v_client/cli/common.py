"""Shared by the commands of ``layert2v``: a server for the call, following a job, output folders.

Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TextIO

from layert2v import stack as manifests
from layert2v.errors import ContractError
from layert2v.status_text import duration, queue_text, transfer_text
from layert2v_client import stack_history
from layert2v_client.cli.config import ClientConfig
from layert2v_client.cli.terminal import ProgressLine, show_start, show_status
from layert2v_client.client import Client, connect
from layert2v_client.errors import (
    ClientError,
    InvalidRequest,
    JobCancelled,
    ServerUnavailable,
    TransferFailed,
)
from layert2v_client.jobs import Job, require_success
from layert2v_client.local_server import temporary_server
from layert2v_client.transfer import TransferOptions
from layert2v_client.types import JobState, JobStatus, ServerInfo

ENGINE_START_S = 90.0
RESUBMIT_S = 3.0
STATES_SHOWN = 5


def run_to_completion(
    submit: Callable[[float], Job], timeout_s: float, line: ProgressLine
) -> tuple[Job, JobStatus]:
    """Submit a job with ``submit`` and follow it to success; Ctrl-C cancels it.

    ``submit`` gets the seconds it may take; called again, it must return the same job. Raises
    ``JobFailed``, ``JobCancelled`` or another ``ClientError``.
    """
    try:
        job = submit(timeout_s)
        line.say(f"job {job.name}")
        return job, require_success(follow(job, line))
    except KeyboardInterrupt:
        line.say("Cancelling the job ...")
        with suppress(ServerUnavailable):  # the engine is still starting: nothing has begun
            job = submit(RESUBMIT_S)  # the job that may just have begun
            job.cancel()
            follow(job, line)
        raise JobCancelled("INTERRUPTED", "The job is cancelled.") from None


@contextmanager
def report_result_path(status: JobStatus, line: ProgressLine) -> Iterator[None]:
    """Print where the result is on the server's disk when it cannot be downloaded."""
    try:
        yield
    except TransferFailed:
        if status.local_path:
            line.say(f"The stack itself is finished and stays in {status.local_path}.")
        raise


def transfer_options(line: ProgressLine, state: str = "fetching") -> TransferOptions:
    """Return options that show a transfer on the progress line."""

    def report(done: int, total: int) -> None:
        line.show(state, transfer_text(state, done, total), done / max(total, 1))

    return TransferOptions(report=report)


@contextmanager
def open_client(
    args: argparse.Namespace, config: ClientConfig, line: ProgressLine
) -> Iterator[Client]:
    """Yield a client for the server that was named, or for a temporary one of this call."""
    address = server_address(args, config)
    if address:
        tls = config.tls if args.tls is None else args.tls
        with connect(address, args.token or config.token or None, tls) as client:
            client.priority = getattr(args, "priority", client.priority)
            yield client
    elif args.may_embed:
        show_start(line)
        starting = temporary_server(config.data, models=config.models)
        with starting as server, connect(server.address) as client:
            yield client
    else:
        raise InvalidRequest(
            "SERVER_MISSING",
            "No server is named, and the embedded server of a call keeps no jobs.",
            "Name one with --server HOST:PORT; layert2v-server serve starts one.",
        )


def server_address(args: argparse.Namespace, config: ClientConfig) -> str:
    """Return the address of the server to use, or "" where none is named."""
    return str(args.server or config.server)


def wait_for_models(client: Client, line: ProgressLine, timeout_s: float) -> ServerInfo:
    """Return the server's information once it knows its models, or after ``timeout_s`` seconds."""
    until = time.monotonic() + timeout_s
    while True:
        info = client.info()
        if info.models or time.monotonic() >= until:
            return info
        show_start(line)
        time.sleep(0.2)


def follow(job: Job, line: ProgressLine) -> JobStatus:
    """Show a job until it has ended, and return its last status."""
    with job.watch(previews=False) as updates:
        for update in updates:
            show_status(line, update.status)
    line.clear()
    return update.status


def download_stack(job: Job, folder: Path, line: ProgressLine) -> None:
    """Download a stack and show how far it is; Ctrl-C leaves nothing of it."""
    with discard_at_interrupt(job, folder):
        job.download(folder, transfer_options(line))
    line.clear()


@contextmanager
def discard_at_interrupt(job: Job, folder: Path) -> Iterator[None]:
    """Remove what a download or a merge has left in ``folder`` where Ctrl-C breaks it off."""
    try:
        yield
    except KeyboardInterrupt:
        # A server that is gone cannot name the files.
        with suppress(ClientError, ContractError, OSError):
            job.discard_partial_download(folder)
        raise


def print_summary(folder: Path, out: TextIO, line: ProgressLine) -> None:
    """Print how the prompt was interpreted to stderr, and where the stack is to stdout."""
    stack = manifests.read(folder)
    if stack.prompt_interpretation:
        line.say(f"understood as: {stack.prompt_interpretation}")
    for warning in stack.warnings:
        line.say(f"warning: {warning}")
    layers = ", ".join(layer.name for layer in stack.layers)
    seed = f"seed {stack.seed}, " if stack.model else ""  # only a model was given one
    line.say(
        f"{stack.width}x{stack.height}, {stack.frames} frames, "
        f"{duration(stack.frames / stack.fps)}, {seed}{stack.colorspace}: {layers}"
    )
    out.write(f"{folder}\n")


def warn_missing_states(folder: Path, line: ProgressLine) -> None:
    """Print which states of a downloaded stack cannot be opened."""
    missing = stack_history.missing_states(folder)
    if missing:
        names = ", ".join(f"v{state:03d}" for state in missing[:STATES_SHOWN])
        more = f" and {len(missing) - STATES_SHOWN} more" if len(missing) > STATES_SHOWN else ""
        line.say(f"{names}{more} cannot be opened in {folder}: the server lacks files of them.")


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Create ``folder``, or raise ``InvalidRequest`` if there is something in it.

    This comes before any work is done. A folder that is still empty afterwards is removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_occupied = any(folder.iterdir())
    except OSError as error:
        raise InvalidRequest(
            "OUTPUT_INVALID",
            f"{folder} cannot be made: {error.strerror}.",
            "Choose another folder with --out.",
        ) from error
    if is_occupied:
        raise InvalidRequest(
            "OUTPUT_NOT_EMPTY",
            f"{folder} has something in it.",
            "Choose a new or an empty folder with --out.",
        )
    try:
        yield
    finally:
        with suppress(OSError):  # not empty: as it should be
            folder.rmdir()


def unused_folder(prompt: str) -> Path:
    """Return a folder below the current one that does not exist yet, named after the prompt."""
    paths = (Path(f"{manifests.slug(prompt)}_{number:03d}") for number in count(1))
    return next(path for path in paths if not path.exists())


def job_title(status: JobStatus) -> str:
    """Return a job in a few words: its prompt, or what it changes."""
    if status.decompose is not None:
        words = (subject.words for subject in status.decompose.subjects if subject.words)
        return " ".join((status.decompose.name or status.source or "footage", *words))
    if status.refine is not None:
        return f"refine {status.refine.layer}"
    change = status.rerender
    if change is None:
        return status.spec.prompt
    return " ".join((change.action, *change.layers, *change.prompts.values()))


def job_state(status: JobStatus) -> str:
    """Return the state of a job, of a queued one with its place, of a running one with its end."""
    if status.state is JobState.queued:
        return queue_text(status.queue_position, status.start_eta_s)
    left = None if status.progress is None else status.progress.eta_s
    if status.state is JobState.running and left is not None:
        return f"{status.state.value}, {duration(left)} left"
    return str(status.state.value)
