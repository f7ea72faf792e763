"""The commands for jobs that were submitted earlier: jobs, watch, cancel, fetch, delete."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TextIO

from layert2v.command_options import positive_int
from layert2v_client.cli.common import (
    download_stack,
    follow,
    job_state,
    job_title,
    open_client,
    print_summary,
    unused_folder,
    warn_missing_states,
)
from layert2v_client.cli.config import ClientConfig
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.jobs import require_success


def add_job_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands for jobs that were submitted earlier."""
    jobs_parser = add(jobs, "list the newest jobs")
    jobs_parser.add_argument("--limit", type=positive_int, default=20, metavar="N")
    fetch_parser = add(fetch, "download the stack of a finished job")
    fetch_parser.add_argument("--out", type=Path, metavar="DIR", help="default: after the prompt")
    delete_parser = add(delete, "delete jobs that have ended, with their files on the server")
    delete_parser.add_argument("job", metavar="JOB", nargs="*", help="names, as jobs shows them")
    delete_parser.add_argument(
        "--uploads", action="store_true", help="also what was uploaded for jobs; those keep theirs"
    )
    for sub in (add(watch, "follow a job to its end"), add(cancel, "cancel a job"), fetch_parser):
        sub.add_argument("job", metavar="JOB", help="its name, as generate and jobs show it")


def jobs(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Print a table of the newest jobs."""
    with open_client(args, config, line) as client:
        rows = list(islice(client.jobs(), args.limit))
    line.clear()
    width = max((len(row.name) for row in rows), default=0)
    states = [job_state(row) for row in rows]
    state_width = max(map(len, states), default=0)
    for row, state in zip(rows, states):
        created = "" if row.created is None else f"{row.created.astimezone():%Y-%m-%d %H:%M}"
        prompt = re.sub(r"\s+", " ", job_title(row))[:60]
        out.write(f"{row.name:<{width}}  {state:<{state_width}}  {created}  {prompt}\n")


def watch(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Follow a job to its end; Ctrl-C leaves it alone."""
    with open_client(args, config, line) as client:
        job = client.job(args.job)
        try:
            status = follow(job, line)
        except KeyboardInterrupt:
            line.say("Stopped watching; the job is left alone.")
            raise
        require_success(status)
    out.write(f"{status.state.value}\n")


def cancel(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Cancel a job and wait until it has ended."""
    with open_client(args, config, line) as client:
        job = client.job(args.job)
        job.cancel()
        status = follow(job, line)
    out.write(f"{status.state.value}\n")


def delete(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Delete jobs that have ended, with their files on the server."""
    with open_client(args, config, line) as client:
        for name in args.job:
            client.job(name).delete()
            out.write(f"{name}\n")
        if args.uploads:
            out.write(f"{client.delete_uploads()} uploads\n")


def fetch(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Download the stack of a finished job; continue where an earlier call stopped.

    Ctrl-C leaves nothing.
    """
    with open_client(args, config, line) as client:
        job = client.job(args.job)
        folder = args.out or unused_folder(job_title(job.status()))
        download_stack(job, folder, line)
    warn_missing_states(folder, line)
    print_summary(folder, out, line)
