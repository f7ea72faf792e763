"""``layert2v-server``: serve, show the settings, make tokens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import layert2v
from layert2v_server.auth import make_token
from layert2v_server.config import Config, load_config, show_config
from layert2v_server.errors import ServerError

EXIT_ERROR = 2
MAX_DESCRIPTORS = 65_536
# Settings that the command line has as well.
_OVERRIDES = ("address", "data", "models", "weights", "commercial_only", "engine", "token_file")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 after a clean stop, 2 where the server refuses to start."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except ServerError as error:
        print(f"layert2v-server: {error.message} {error.hint}".rstrip(), file=sys.stderr)
        return EXIT_ERROR


def _serve(args: argparse.Namespace) -> None:
    config = _load_config(args)
    if args.show_config:
        print(show_config(config))
        return
    logging.basicConfig(
        level=args.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
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


def _print_token(args: argparse.Namespace) -> None:
    token, line = make_token(args.name)
    print(f"token for {args.name}:       {token}")
    print(f"line for the token file: {line}")


def _load_config(args: argparse.Namespace) -> Config:
    path = args.config or os.environ.get("LAYERT2V_CONFIG")
    overrides = {
        name: getattr(args, name) for name in _OVERRIDES if getattr(args, name) is not None
    }
    if args.device:
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
    serve.add_argument("--models", type=Path, help="folder of checkpoints")
    serve.add_argument("--weights", type=Path, help="folder with networks of others")
    serve.add_argument(
        "--commercial-only",
        action="store_true",
        default=None,
        help="refuse networks whose licence does not simply allow commercial use",
    )
    serve.add_argument("--device", action="append", help="auto, cpu, cuda:0, ...; repeat for more")
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
    serve.add_argument("--show-config", action="store_true", help="print the settings and end")

    token = commands.add_parser("token", help="make a token and its line for the token file")
    token.set_defaults(run=_print_token)
    token.add_argument("name", help="the user of the token")
    return parser


if __name__ == "__main__":
    sys.exit(main())
