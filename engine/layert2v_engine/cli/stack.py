"""The commands ``import``, ``inspect``, ``preview``, ``pack``, ``ocio``: stacks without a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v.command_options import (
    add_compression_option,
    add_reading_options,
    frame_number,
)
from layert2v.rerender import AUTO
from layert2v_engine.errors import EngineError

if TYPE_CHECKING:
    from layert2v_engine.image.color import ColorConfig
    from layert2v_engine.stack.inspect import Report
    from layert2v_engine.stack.video_import import ForegroundSources

EXIT_PROBLEMS = 1
_NONE = "-"
_TABLE_HEAD = ("layer", "role", "frames", "pixels", "codec", "alpha", "color", "NaN", "MB")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the five commands."""
    _add_import(subparsers)
    inspect = subparsers.add_parser(
        "inspect",
        help="re-read a stack with a second library and report what it really holds",
        description="Names, tags, ranges, alpha, hashes and the comp against the over of its "
        "layers. Exit status 0: all is right; 1: problems, listed at the end.",
    )
    inspect.add_argument("stack", type=Path, metavar="STACK", help="folder of the stack")
    inspect.add_argument("--json", action="store_true", help="the same for programs")
    inspect.set_defaults(run=_inspect)
    preview = subparsers.add_parser(
        "preview",
        help="make contact sheet, movie and a self-contained HTML viewer",
        description="Write contact.png, preview.mp4 and viewer.html into preview/ of the stack.",
    )
    preview.add_argument("stack", type=Path, metavar="STACK", help="folder of the stack")
    _add_config(preview)
    preview.add_argument("--colorspace", default="", help="where stack.json says `unknown`")
    preview.add_argument(
        "--web", type=Path, metavar="DIR", help="write only the viewer, as files for a web server"
    )
    preview.set_defaults(run=_preview)
    pack = subparsers.add_parser(
        "pack",
        help="make one multilayer EXR per frame",
        description="Write packed/: comp in R, G, B, A and every layer as <layer>.R/.G/.B/.A.",
    )
    pack.add_argument("stack", type=Path, metavar="STACK", help="folder of the stack")
    add_compression_option(pack)
    pack.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="begins the names of layers, so that those of two stacks stay apart, such as fox_",
    )
    pack.set_defaults(run=_pack)
    ocio = subparsers.add_parser("ocio", help="list the color spaces that names can be taken from")
    _add_config(ocio)
    ocio.set_defaults(run=_ocio)


def _add_import(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "import",
        help="turn ordinary videos into a layer stack",
        description="Each clip is a video file (MP4, ProRes, ...), a folder of images or a pattern "
        "such as shot.####.png. Give --foreground, --matte and --shadow once for each foreground, "
        "from back to front; write - where one has no matte of its own or no shadow.",
        epilog="example: layert2v-engine import --full full.mp4 --background bg.mp4 "
        "--foreground fg.mp4 --matte matte.mp4 --out stack",
    )
    clips = parser.add_argument_group("clips")
    clips.add_argument("--background", required=True, type=Path, metavar="CLIP")
    clips.add_argument("--foreground", required=True, action="append", type=Path, metavar="CLIP")
    clips.add_argument("--matte", action="append", default=[], metavar="CLIP", help="white inside")
    clips.add_argument("--shadow", action="append", default=[], metavar="CLIP", help="white = dark")
    clips.add_argument("--full", type=Path, metavar="CLIP", help="kept as ref")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to make")
    parser.add_argument("--name", help="name of the stack; default: that of the folder")
    parser.add_argument("--start-frame", type=frame_number, default=1001)
    color = parser.add_argument_group("color")
    color.add_argument("--colorspace", default="lin_rec709_scene", help="of the layers")
    _add_config(color)
    add_reading_options(parser.add_argument_group("reading"))
    edges = parser.add_argument_group("edges")
    edges.add_argument(
        "--edges",
        choices=("auto", "black", "straight"),
        default="auto",
        help="foregrounds are on black, or straight; auto: what the file says of its "
        "alpha, else what is outside the matte",
    )
    edges.add_argument(
        "--no-levels", action="store_true", help="take the mattes' black and white as they are"
    )
    edges.add_argument(
        "--shadow-domain",
        choices=("display", "linear"),
        default="display",
        help="the light that shadow opacities are meant for",
    )
    add_compression_option(parser)
    parser.set_defaults(run=_import)


def _add_config(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--config",
        metavar="OCIO",
        help="a .ocio or .ocioz file, or ocio://NAME; default: a pinned ACES studio config",
    )


def _import(args: argparse.Namespace) -> int:
    from layert2v_engine.image.exr_header import ExrOptions  # heavy, and not needed for a help text
    from layert2v_engine.stack.video_import import ImportOptions, ImportSources, import_videos

    sources = ImportSources(
        background=args.background, foregrounds=_foreground_sources(args), full=args.full
    )
    options = ImportOptions(
        name=args.name or args.out.resolve().name,
        fps=args.fps or None,
        start_frame=args.start_frame,
        colorspace=args.colorspace,
        source_colorspace=args.source_colorspace,
        matrix=None if args.matrix == AUTO else args.matrix,
        full_range=None if args.range == AUTO else args.range == "full",
        deinterlace=args.deinterlace,
        edges=args.edges,
        levels=not args.no_levels,
        shadow_domain=args.shadow_domain,
        exr=ExrOptions(compression=args.compression),
    )
    progress = _progress("import")
    stack = import_videos(sources, args.out, options, config=_config(args), progress=progress)
    for warning in stack.warnings:
        print(f"note: {warning}", file=sys.stderr)
    layers = ", ".join(layer.name for layer in stack.layers)
    print(f"{args.out}: {layers} (bottom to top), {stack.frames} frames at {stack.fps:g} fps")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from layert2v_engine.stack import inspect, manifest

    report = inspect.inspect(args.stack, manifest.read(args.stack))
    print(_format_json(report) if args.json else _format_text(report))
    return EXIT_PROBLEMS if report.problems else 0


def _preview(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from layert2v_engine.stack import manifest, preview
    from layert2v_engine.stack.files import file_record
    from layert2v_engine.stack.viewer import INDEX, write_viewer, write_web_viewer

    stack = manifest.read(args.stack)
    to_display = preview.display_transform(stack, _config(args), args.colorspace)
    if args.web is not None:
        write_web_viewer(args.stack, stack, to_display, args.web)
        print(args.web / INDEX)
        return 0
    paths = preview.write_previews(args.stack, stack, to_display)
    paths.append(write_viewer(args.stack, stack, to_display))
    records = tuple(file_record(path, args.stack) for path in paths)
    manifest.write(replace(stack, previews=records), args.stack)
    for path in paths:
        print(path)
    return 0


def _pack(args: argparse.Namespace) -> int:
    from layert2v_engine.image.exr_header import ExrOptions
    from layert2v_engine.stack import manifest
    from layert2v_engine.stack.pack import pack

    options = ExrOptions(compression=args.compression)
    stack = manifest.read(args.stack)
    paths = pack(args.stack, stack, options, prefix=args.prefix, progress=_progress("pack"))
    print(f"{paths[0]} .. {paths[-1].name}")
    return 0


def _ocio(args: argparse.Namespace) -> int:
    config = _config(args)
    print(config.label)
    rows = [(s.name, s.interop_id, "linear" if s.linear else "") for s in config.spaces()]
    print("\n".join(_align_columns(rows)))
    return 0


def _config(args: argparse.Namespace) -> ColorConfig:
    from layert2v_engine.image.color import ColorConfig

    return ColorConfig.load(args.config)


def _foreground_sources(args: argparse.Namespace) -> tuple[ForegroundSources, ...]:
    from layert2v_engine.stack.video_import import ForegroundSources

    count = len(args.foreground)
    for option, values in (("--matte", args.matte), ("--shadow", args.shadow)):
        if values and len(values) != count:
            raise EngineError(
                f"There are {count} foregrounds, but {option} is given {len(values)} times.",
                "Give it once for each, or - where there is none.",
                reason="CLIPS_UNPAIRED",
            )
    mattes = args.matte or [_NONE] * count
    shadows = args.shadow or [_NONE] * count
    return tuple(
        ForegroundSources(
            color=color,
            matte=None if matte == _NONE else Path(matte),
            shadow=None if shadow == _NONE else Path(shadow),
        )
        for color, matte, shadow in zip(args.foreground, mattes, shadows, strict=True)
    )


def _progress(label: str) -> Callable[[int, int], None] | None:
    """Return a counter for the terminal; None where there is none."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{label}: frame {done} of {total}", end=end, file=sys.stderr, flush=True)

    return show


def _format_json(report: Report) -> str:
    sequences = [
        {
            "name": each.name,
            "role": each.role,
            "frames": each.frames,
            "channels": each.channels,
            "pixels": each.pixels,
            "compression": each.compression,
            "colorspace": each.colorspace,
            "alpha": [each.alpha.low, each.alpha.high] if each.frames else None,
            "color": [each.color.low, each.color.high] if each.frames else None,
            "not_finite": each.not_finite,
            "size_bytes": each.size_bytes,
        }
        for each in report.sequences
    ]
    document = {
        "sequences": sequences,
        "comp_exact_frames": report.exact_comp_frames,
        "comp_error": report.comp_error,
        "comp_alpha_error": report.comp_alpha_error,
        "hashes_right": report.matching_hashes,
        "packed_frames": report.packed,
        "problems": report.problems,
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _format_text(report: Report) -> str:
    stack = report.stack
    last = stack.start_frame + stack.frames - 1
    head = (
        f"{stack.name}: {stack.width} x {stack.height}, {stack.start_frame}-{last} at "
        f"{stack.fps:g} fps, {stack.colorspace}"
    )
    rows = [
        (
            each.name,
            each.role,
            str(each.frames),
            f"{each.pixels} {each.channels}",
            each.compression,
            str(each.alpha),
            str(each.color),
            str(each.not_finite),
            f"{each.size_bytes / 1e6:.2f}",
        )
        for each in report.sequences
    ]
    exact = (
        f"comp is the over of its layers to the bit in {report.exact_comp_frames} of {stack.frames}"
    )
    lines = [head, "", *_align_columns([_TABLE_HEAD, *rows]), ""]
    lines.append(f"{exact} frames")
    if report.comp_error or report.comp_alpha_error:
        lines.append(f"  worst color {report.comp_error:.4g}, alpha {report.comp_alpha_error:.4g}")
    lines.append(f"{report.matching_hashes} of {len(stack.files())} files match their hashes")
    lines += [
        f"made with {each.name}, {each.licence}, commercial use: {each.commercial}"
        for each in stack.networks
    ]
    if report.packed is not None:
        lines.append(f"{report.packed} of {stack.frames} frames are packed")
    if not report.problems:
        return "\n".join([*lines, "no problems"])
    count = len(report.problems)
    lines.append(f"{count} problem{'s' if count > 1 else ''}:")
    return "\n".join(lines + [f"  {problem}" for problem in report.problems])


def _align_columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows of equal length as lines with aligned columns."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
