"""``layert2v-server``: serve, make tokens, back up, restore, collect, release from quarantine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import layert2v
from layert2v.interrupts import EXIT_INTERRUPTED
from layert2v.plain_text import plain_line
from layert2v.status_text import file_size
from layert2v_server.auth import Role, add_entry, make_token, read_entries, revoke
from layert2v_server.config import PARALLEL, Config, load_config, show_config
from layert2v_server.errors import ConfigError, ServerError
from layert2v_server.logs import FORMATS, configure_logging

if TYPE_CHECKING:
    from layert2v_server.store.backup import CopyReport

EXIT_DAMAGED = 1
EXIT_ERROR = 2
MAX_DESCRIPTORS = 65_536
MAX_TOKEN_DAYS = 36_500
# Settings that the command line has as well.
_OVERRIDES = (
    *("address", "data", "database", "models", "weights", "commercial_only", "engine"),
    *("token_file", "log_format", "metrics_address", "web_address", "executor"),
    *("devices_per_job", "parallel", "artifacts"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 after a clean stop, 2 where the server refuses to start.

    1 after a backup with damaged files, 130 where it is interrupted before it serves.
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except ServerError as error:
        print(f"layert2v-server: {error.message} {error.hint}".rstrip(), file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("layert2v-server: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _serve(args: argparse.Namespace) -> None:
    config = _load_config(args)
    if args.show_config:
        print(show_config(config))
        return
    configure_logging(config.log_format, args.log_level.upper())
    # Alembic logs its set-up at every start.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Imported late: gRPC and SQLAlchemy take half a second, which --help and token do not need.
    from layert2v_server.serve import serve

    _raise_descriptor_limit()
    parent_pipe_fd = sys.stdin.fileno() if args.until_stdin_ends else None
    asyncio.run(serve(config, _print_event, parent_pipe_fd, register_stacks=args.rebuild))


def _raise_descriptor_limit() -> None:
    """Allow as many open connections and files as the system lets this user have."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system that allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _print_event(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def _add_token(args: argparse.Namespace) -> None:
    expires = None
    if args.days is not None:
        if not 0 < args.days <= MAX_TOKEN_DAYS:
            raise ConfigError(f"--days must be between 1 and {MAX_TOKEN_DAYS}.")
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=args.days)
    token, entry = make_token(args.name, Role(args.role), expires)
    add_entry(_token_path(args), entry)
    print(f"Added {entry.id} for {entry.name}. This is shown once: {token}")


def _list_tokens(args: argparse.Namespace) -> None:
    for entry in read_entries(_token_path(args)):
        until = "never expires" if entry.expires is None else f"expires {entry.expires:%Y-%m-%d}"
        if entry.expires is not None and entry.expires <= datetime.now(UTC):
            until = f"expired {entry.expires:%Y-%m-%d}"
        print(f"{entry.id}  {entry.name:24} {entry.role:6}  {until}")


def _revoke_token(args: argparse.Namespace) -> None:
    count = revoke(_token_path(args), args.name, args.id)
    if not count:
        raise ConfigError(
            f"The token file has no such token of {args.name!r}.",
            "See those it has with: layert2v-server token list",
        )
    print(f"Revoked {count} token(s) of {args.name}.")


def _back_up(args: argparse.Namespace) -> int:
    data = _sqlite_folder(args)
    from layert2v_server.store.backup import back_up

    report = back_up(data, args.folder.expanduser().resolve(), _print_progress)
    return _print_report(report, f"are backed up in {args.folder}")


def _restore(args: argparse.Namespace) -> int:
    data = _sqlite_folder(args)
    from layert2v_server.store.backup import restore

    report = restore(args.folder.expanduser().resolve(), data, _print_progress)
    return _print_report(report, f"are restored in {data}")


def _sqlite_folder(args: argparse.Namespace) -> Path:
    """Return the data folder of a server without PostgreSQL. Raises ``ConfigError``."""
    config = _load_config(args)
    if config.database:
        raise ConfigError(
            "The jobs of this server are in PostgreSQL.",
            "Back them up with pg_dump and then copy the data folder (docs/database.md).",
        )
    return config.data.expanduser().resolve()


def _print_progress(done: int, total: int, copied_bytes: int) -> None:
    if done == total or done % 20 == 0:
        print(f"{done} of {total} jobs, {file_size(copied_bytes)} copied", file=sys.stderr)


def _print_report(report: CopyReport, what: str) -> int:
    """Print what was copied; return 1 where files were damaged."""
    for line in report.damaged:
        print(f"layert2v-server: {line}", file=sys.stderr)
    print(
        f"{report.jobs} jobs with {report.files} files {what}; "
        f"{file_size(report.copied_bytes)} were copied, {len(report.damaged)} files are damaged."
    )
    return EXIT_DAMAGED if report.damaged else 0


def _remove_expired(args: argparse.Namespace) -> None:
    config = _load_config(args)
    from layert2v_server.collect import list_expired, remove_all_expired

    expired = list_expired(config) if args.dry_run else remove_all_expired(config)
    for each in expired:
        size = file_size(each.size_bytes)
        print(f"{each.kind:6}  {each.name}  {size}  {each.age_days:.0f} days")
    verb = "would be removed" if args.dry_run else "were removed"
    print(f"{len(expired)} things with {file_size(sum(e.size_bytes for e in expired))} {verb}.")


def _list_quarantined(args: argparse.Namespace) -> None:
    from layert2v_server.quarantine import list_quarantined

    jobs = list_quarantined(_load_config(args))
    for job in jobs:
        since = datetime.fromtimestamp(job.finished or job.created, UTC)
        print(f"{job.id}  {plain_line(job.owner)}  since {since:%Y-%m-%d %H:%M} UTC")
        if job.failure is not None:
            request = f" (request {job.request_id})" if job.request_id else ""
            print(f"    {plain_line(job.failure.message)}{request}")
    print(f"{len(jobs)} jobs are in quarantine.")


def _release(args: argparse.Namespace) -> None:
    from layert2v_server.quarantine import release

    if bool(args.jobs) == args.all:
        raise ConfigError("Name jobs, or say --all.", "See them with: quarantine list")
    jobs = release(_load_config(args), args.jobs)
    for job in jobs:
        print(f"{job.id} of {plain_line(job.owner)} waits in the queue again.")
    print(f"{len(jobs)} jobs were released.")


def _top(args: argparse.Namespace) -> None:
    from layert2v_server.top import ServerLook, run_top  # gRPC: not for a help text

    if not 0.2 <= args.interval <= 3600:
        raise ConfigError("--interval must be between 0.2 and 3600 seconds.")
    config = _load_config(args)
    look = ServerLook(config.address, args.authority, config.metrics_address)
    run_top(look, sys.stdout, interval_s=args.interval, once=args.once)


def _token_path(args: argparse.Namespace) -> Path:
    """Return the token file that the options or the settings name. Raises ``ConfigError``."""
    path = args.token_file or _load_config(args).token_file
    if path is None:
        raise ConfigError(
            "There is no token file.", "Name one with --token-file, or in the settings."
        )
    return Path(path)


def _load_config(args: argparse.Namespace) -> Config:
    path = args.config or os.environ.get("LAYERT2V_CONFIG")
    overrides = {
        name: getattr(args, name) for name in _OVERRIDES if getattr(args, name, None) is not None
    }
    if getattr(args, "device", None):
        overrides["devices"] = tuple(args.device)
    return load_config(Path(path) if path else None, overrides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="layert2v-server", description="Serve layer stacks.")
    parser.add_argument("--version", action="version", version=layert2v.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="take jobs and run them until SIGTERM")
    serve.set_defaults(run=_serve)
    serve.add_argument("--config", type=Path, help="TOML file with a [server] table")
    serve.add_argument("--address", help="HOST:PORT or unix:PATH; port 0 takes a free one")
    serve.add_argument("--data", type=Path, help="folder of jobs and results, on a local disk")
    serve.add_argument("--database", help="URL of a PostgreSQL database for the jobs")
    serve.add_argument(
        "--artifacts",
        metavar="s3://BUCKET/PREFIX",
        help="results and uploads, for several servers; reached as AWS' environment says",
    )
    serve.add_argument("--models", type=Path, help="folder of checkpoints")
    serve.add_argument("--weights", type=Path, help="folder with networks of others")
    serve.add_argument(
        "--commercial-only",
        action="store_true",
        default=None,
        help="refuse networks whose licence does not simply allow commercial use",
    )
    serve.add_argument("--device", action="append", help="auto, cpu, cuda:0, ...; repeat for more")
    serve.add_argument(
        "--devices-per-job", type=int, help="so many devices in a row share each job of a prompt"
    )
    serve.add_argument("--parallel", choices=PARALLEL, help="how they do, with --devices-per-job")
    serve.add_argument(
        "--executor",
        metavar="process|ray[:HOST:PORT]",
        help="where workers run: on this machine, or on the nodes of a Ray cluster",
    )
    serve.add_argument("--engine", help="module:Class that the workers load instead of LayerT2V's")
    serve.add_argument("--token-file", type=Path, help="who may call; see the command token")
    serve.add_argument(
        "--until-stdin-ends",
        action="store_true",
        help="stop also when the input ends, as it does when the starting program dies",
    )
    serve.add_argument(
        "--rebuild",
        action="store_true",
        help="register stacks on disk that the database does not know, as after its loss",
    )
    serve.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    serve.add_argument("--log-format", choices=FORMATS, help="json: one object a line")
    serve.add_argument("--metrics-address", help="HOST:PORT of figures for Prometheus")
    serve.add_argument("--web-address", help="HOST:PORT of the page of the queue and results")
    serve.add_argument("--show-config", action="store_true", help="print the settings and end")

    for name, run, text in (
        ("backup", _back_up, "copy jobs, results and uploads, also while the server runs"),
        ("restore", _restore, "make a new data folder of a backup"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)
        command.add_argument("folder", type=Path, help="the folder of the backup")
        command.add_argument("--data", type=Path, help="the data folder; else that of the settings")
        command.add_argument("--database", help="refused: see docs/database.md for PostgreSQL")
        command.add_argument("--config", type=Path, help="TOML file with a [server] table")
    collect = commands.add_parser("gc", help="remove what is older than the settings say")
    collect.set_defaults(run=_remove_expired)
    collect.add_argument("--dry-run", action="store_true", help="list it, and remove nothing")
    collect.add_argument("--data", type=Path, help="the data folder; else that of the settings")
    collect.add_argument("--database", help="URL of a PostgreSQL database for the jobs")
    collect.add_argument("--config", type=Path, help="TOML file with a [server] table")

    top = commands.add_parser("top", help="queue, workers, speeds and memory of a running server")
    top.set_defaults(run=_top)
    top.add_argument("--config", type=Path, help="TOML file with a [server] table")
    top.add_argument("--address", help="of the server, HOST:PORT or unix:PATH")
    top.add_argument("--authority", type=Path, metavar="PEM", help="with TLS: who signed for it")
    top.add_argument("--metrics-address", help="HOST:PORT, for memory")
    top.add_argument("--interval", type=float, default=2.0, metavar="S", help="between two looks")
    top.add_argument("--once", action="store_true", help="print it once and end")

    _add_quarantine_commands(
        commands.add_parser("quarantine", help="jobs of which workers died: list, release")
    )
    _add_token_commands(commands.add_parser("token", help="who may call: add, list, revoke"))
    return parser


def _add_quarantine_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands for jobs in quarantine, which work beside a running server."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    list_ = commands.add_parser("list", help="the jobs, and what happened to their workers")
    list_.set_defaults(run=_list_quarantined)
    release = commands.add_parser("release", help="put jobs back into the queue")
    release.set_defaults(run=_release)
    release.add_argument("jobs", nargs="*", metavar="JOB", help="as the list names it")
    release.add_argument("--all", action="store_true", help="all that are in quarantine")
    for command in (list_, release):
        command.add_argument("--data", type=Path, help="the data folder; else that of the settings")
        command.add_argument("--database", help="URL of a PostgreSQL database for the jobs")
        command.add_argument("--config", type=Path, help="TOML file with a [server] table")


def _add_token_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands that change a token file, which a running server reads again."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="make a token, show it once, and add its hash")
    add.set_defaults(run=_add_token)
    add.add_argument("name", help="the user of the token")
    roles = [str(role) for role in Role]
    add.add_argument(
        "--role",
        default=roles[0],
        choices=roles,
        help="a supervisor may make jobs urgent, an admin also sees those of all",
    )
    add.add_argument("--days", type=int, help="after which it expires; never where left out")
    list_ = commands.add_parser("list", help="names, roles and ends, without the tokens")
    list_.set_defaults(run=_list_tokens)
    remove = commands.add_parser("revoke", help="remove the tokens of a user")
    remove.set_defaults(run=_revoke_token)
    remove.add_argument("name", help="the user of the tokens")
    remove.add_argument("--id", default="", help="only this one, as the list names it")
    for command in (add, list_, remove):
        command.add_argument("--token-file", type=Path, help="the file; else that of the settings")
        command.add_argument("--config", type=Path, help="TOML file with a [server] table")


if __name__ == "__main__":
    sys.exit(main())
