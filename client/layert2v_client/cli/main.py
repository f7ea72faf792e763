"""The command line ``layert2v``: generate, info, and how every command is parsed and run.

The commands for jobs are in ``job_commands``, those that change stacks in ``stack_commands``, those
about footage in ``decompose_commands``. Results go to stdout, progress and errors to stderr.
Where no server is named, ``generate`` and ``info`` start one for the call and speak to it in the
same way.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import layert2v
from layert2v.command_options import (
    EXIT_USAGE,
    CommandParser,
    add_generate_options,
    generate_spec,
)
from layert2v.errors import ContractError
from layert2v.interrupts import EXIT_INTERRUPTED
from layert2v.plain_text import is_unicode, plain_text
from layert2v.presets import apply_preset, find_preset
from layert2v.priorities import PRIORITIES
from layert2v.spec import GenerateSpec
from layert2v_client.cli.common import (
    ENGINE_START_S,
    download_stack,
    open_client,
    output_folder,
    print_summary,
    report_result_path,
    run_to_completion,
    server_address,
    unused_folder,
    wait_for_models,
)
from layert2v_client.cli.config import ClientConfig, load_config
from layert2v_client.cli.decompose_commands import add_decompose_command, add_refine_command
from layert2v_client.cli.info_command import info
from layert2v_client.cli.job_commands import add_job_commands
from layert2v_client.cli.stack_commands import add_stack_commands
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.client import SUBMIT_TIMEOUT_S
from layert2v_client.errors import (
    AccessDenied,
    ClientError,
    EmbeddedServerFailed,
    InvalidRequest,
    JobCancelled,
    NotFound,
    ServerUnavailable,
)
from layert2v_client.jobs import Job
from layert2v_client.types import ServerInfo

EXIT_FAILED = 1
EXIT_UNREACHABLE = 3
PRIORITY_HELP = "among your own jobs; urgent goes before everybody's and is for supervisors"

EPILOG = f"""\
exit codes:
  0    done
  {EXIT_FAILED}    the job or the transfer failed
  {EXIT_USAGE}    wrong input: an option, a name, a token
  {EXIT_UNREACHABLE}    the server does not answer or did not start
  {EXIT_INTERRUPTED}  interrupted or cancelled

environment:
  LAYERT2V_CONFIG   a TOML file with a table [client]: server, token, data, models, tls,
                    tls_authority, tls_certificate, tls_key
  LAYERT2V_TOKEN    the token for the server
"""
# What a field of a request is called, by the option that says it, where a command has that option.
OPTIONS_OF_FIELD = {
    "prompt": {"prompt": "PROMPT"},
    "background_prompt": {"background": "--background"},
    "foreground_prompts": {"foreground": "--foreground"},
    "negative_prompt": {"negative": "--negative"},
    "width": {"size": "--size"},
    "height": {"size": "--size"},
    "start_frame": {"start_frame": "--start-frame"},
    "placements": {"place": "--place"},
    "color_range": {"range": "--range"},
    "layers": {"layer": "--layer", "order": "L"},
    "prompts": {"background": "--background", "prompt": "--prompt"},
    "masks": {"mask": "--mask"},
    "frozen": {"freeze": "--freeze"},
    "plate.colorspace": {"colorspace": "--colorspace"},
    "plate.alpha": {"alpha": "--alpha"},
    "plate.fit": {"fit": "--fit"},
    "subjects": {"subjects": "--subject"},
    "first": {"frames": "--frames"},
    "last": {"frames": "--frames"},
    "footage.colorspace": {"source_colorspace": "--source-colorspace"},
    "footage.alpha": {"alpha": "--alpha"},
    "footage.fps": {"fps": "--fps"},
    "footage.matrix": {"matrix": "--matrix"},
    "footage.color_range": {"range": "--range"},
    "footage.start_frame": {"start_frame": "--start-frame"},
    "donor.layer": {"donor": "A:LAYER"},
    "donor.with_shadow": {"with_shadow": "--with-shadow"},
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command with the process's own environment and streams; return the exit code."""
    args = parser().parse_args(arguments)
    # A closed terminal and a polite kill cancel the job like Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows its number
            stream.reconfigure(errors="backslashreplace")
    return run(args, os.environ, sys.stdout, sys.stderr)


def run(args: argparse.Namespace, environment: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run a parsed command; print errors as a sentence to ``err`` and return the exit code."""
    command: Callable[..., None] = args.command
    with ProgressLine(err) as line:
        try:
            _check_unicode(args)
            command(args, load_config(environment), _PlainOutput(out), line)
        except KeyboardInterrupt:
            line.say("Interrupted.")
            return EXIT_INTERRUPTED
        except JobCancelled as error:
            line.say(error.message)
            return EXIT_INTERRUPTED
        except (ClientError, ContractError) as error:
            print_error(error, args, line)
            if isinstance(error, (InvalidRequest, NotFound, AccessDenied)):
                return EXIT_USAGE
            away = isinstance(error, (ServerUnavailable, EmbeddedServerFailed))
            return EXIT_UNREACHABLE if away else EXIT_FAILED
    return 0


class _PlainOutput(io.TextIOBase):
    """Results on ``stream``, without characters of others that control a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(plain_text(text))

    def isatty(self) -> bool:
        return self._stream.isatty()


def _check_unicode(args: argparse.Namespace) -> None:
    """Raise ``InvalidRequest`` for an argument that came as bytes which are no UTF-8."""
    for value in vars(args).values():
        for text in value if isinstance(value, list) else [value]:
            # A path may have any bytes; it does not leave this machine.
            if isinstance(text, str) and not is_unicode(text):
                raise InvalidRequest(
                    "NOT_UNICODE",
                    f"{plain_text(text)!r} is not text in UTF-8.",
                    "Set the terminal to UTF-8, and write it again.",
                )


def print_error(
    error: ClientError | ContractError, args: argparse.Namespace, line: ProgressLine
) -> None:
    """Print what went wrong, what to do, and which options of the command are meant."""
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    # The server's sentence says the same as the violations, without the options.
    message = "The request cannot be met:" if violations else error.message
    line.say(" ".join(filter(None, (f"layert2v: {message}", error.hint))))
    for violation in violations:
        option = _option_label(violation.field.partition("[")[0], args)
        line.say(f"  {option}: {violation.message}" if option else f"  {violation.message}")


def _option_label(field: str, args: argparse.Namespace) -> str:
    """Return the option that sets ``field``, or "" where the command has none."""
    known = OPTIONS_OF_FIELD.get(field, {field: f"--{field}"})
    return next((label for name, label in known.items() if hasattr(args, name)), "")


def generate(
    args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """Generate a stack from a prompt into a folder; Ctrl-C cancels the job."""
    folder = args.out or unused_folder(args.prompt)
    with output_folder(folder), open_client(args, config, line) as client:
        spec, request_id = generate_spec(args), uuid.uuid4()
        if args.preset:
            wait_s = 0.0 if server_address(args, config) else ENGINE_START_S
            spec = _with_preset(spec, args.preset, wait_for_models(client, line, wait_s))

        def submit(timeout_s: float) -> Job:
            return client.submit(spec, request_id, timeout_s=timeout_s)

        job, status = run_to_completion(submit, SUBMIT_TIMEOUT_S, line)
        with report_result_path(status, line):
            download_stack(job, folder, line)
    print_summary(folder, out, line)


def _with_preset(spec: GenerateSpec, name: str, server: ServerInfo) -> GenerateSpec:
    """Return the request with what a preset of its model says where it says nothing itself.

    A model that the server does not have is refused by it, with those it has.
    """
    model = next((each for each in server.models if each.name == spec.model), None)
    return (
        spec if model is None else apply_preset(spec, find_preset(name, model.name, model.presets))
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = CommandParser(
        prog="layert2v",
        description="A prompt, or footage, becomes a scene-linear EXR layer stack.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"layert2v {layert2v.__version__}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    connection_options = _connection_options()

    def add(
        command: Callable[..., None],
        summary: str,
        *,
        name: str = "",
        example: str = "",
        may_embed: bool = False,
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name or command.__name__,
            parents=[connection_options],
            help=summary,
            description=f"{summary}\n\nexample:\n  {example}" if example else summary,
            epilog=EPILOG,
        )
        sub.formatter_class = argparse.RawDescriptionHelpFormatter
        sub.set_defaults(command=command, may_embed=may_embed)
        if may_embed and command is not info:
            sub.add_argument("--priority", choices=PRIORITIES, default="normal", help=PRIORITY_HELP)
        return sub

    _add_generate_command(add)
    add_decompose_command(add)
    add_refine_command(add)
    add_stack_commands(add)
    add_job_commands(add)
    add(info, "what the server and its models can do", may_embed=True)
    return root


def _add_generate_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    generate_parser = add(
        generate,
        "make a layer stack from a prompt",
        example="layert2v generate 'a red fox running in a forest' --seed 7 --out fox_001",
        may_embed=True,
    )
    add_generate_options(generate_parser)
    generate_parser.add_argument(
        "--out", type=Path, metavar="DIR", help="a new or empty folder; default: after the prompt"
    )


def _connection_options() -> CommandParser:
    """Return the options of every command that calls a server."""
    options = CommandParser(add_help=False)
    options.add_argument(
        "--server", metavar="HOST:PORT", help="default where none is needed: an embedded one"
    )
    options.add_argument("--token", help="default: LAYERT2V_TOKEN")
    options.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        help="default: TLS to every machine but this one",
    )
    return options
