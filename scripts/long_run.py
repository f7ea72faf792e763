"""Train on a machine that is borrowed by the minute: start detached, export what matters.

    long_run.py pack RUN DIR [PART ...] world and text encoder of a prepared run, for the way there
    long_run.py export RUN DIR          the run in half precision and its text encoder, likewise
    long_run.py train RUN DIR --seconds N [--carried DIR] -- STAGE ... [options of train]
    long_run.py unpack DIR RUN          pieces to a run folder again, for export or for going on

``train`` unpacks what was carried, starts the trainer in a process of its own unless it runs
already, and returns after N seconds while it trains on. Meanwhile it keeps DIR up to date: the run
in half precision without what can be computed again, in pieces of less than 15 MB, the log and the
newest contact sheet. Stopped, lost or moved, the run goes on from there with fresh optimizers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save

PIECE_BYTES = 14_500_000
PACK_EVERY_S = 60.0
TEXT_ENCODER = "text_encoder"
PREPARED = ("world", TEXT_ENCODER)
# Rendered or encoded again in less time than it takes to carry them; or of no use elsewhere.
EXCLUDED = {*PREPARED, "fit", "tensorboard", "trainer.pid"}
MATERIAL = ("clips", "held_out", "latents")  # and the same with a number of foregrounds
FINISHED = {"autoencoder": "model", "matte": "projection"}  # stage folder: what it leaves


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, first, second in (
        ("pack", "run", "folder"), ("export", "run", "folder"), ("unpack", "folder", "run"),
    ):  # fmt: skip
        each = commands.add_parser(name)
        each.add_argument(first, type=Path)
        each.add_argument(second, type=Path)
        if name == "pack":
            each.add_argument("parts", nargs="*", default=PREPARED)
    train = commands.add_parser("train")
    train.add_argument("run", type=Path)
    train.add_argument("folder", type=Path)
    train.add_argument("--seconds", type=float, required=True)
    train.add_argument("--carried", type=Path, help="folder of pieces to start from")
    train.add_argument("options", nargs="+", metavar="STAGE")
    args = parser.parse_args()
    if args.command == "pack":
        files = ((p, p.relative_to(args.run)) for top in args.parts for p in _files(args.run / top))
        write_pieces(((str(name), path.read_bytes()) for path, name in files), args.folder, "xz")
    elif args.command == "export":
        encoder = args.run / TEXT_ENCODER
        files = ((str(p.relative_to(args.run)), p.read_bytes()) for p in _files(encoder))
        write_pieces(chain(portable_files(args.run), files), args.folder, "xz")
    elif args.command == "unpack":
        unpack(args.folder, args.run)
    else:
        return train_for(args.run, args.folder, args.seconds, args.carried, args.options)
    return 0


class _Raw(argparse.RawDescriptionHelpFormatter):
    pass


def train_for(run: Path, out: Path, seconds: float, carried: Path | None, train: list[str]) -> int:
    """Let the trainer run for a while; 0 when it is done or still at work, else its exit code."""
    until = time.monotonic() + seconds
    if carried is not None and not run.exists():
        unpack(carried, run)
    run.mkdir(parents=True, exist_ok=True)
    trainer = None if _is_running(run) else _start(run, train)
    while time.monotonic() < until and (
        _is_running(run) if trainer is None else trainer.poll() is None
    ):
        time.sleep(max(0.0, min(PACK_EVERY_S, until - time.monotonic(), 5.0 + seconds / 20)))
        export_progress(run, out)
    export_progress(run, out)
    print(*(run / "train.log").read_text().splitlines()[-15:], sep="\n")
    return (trainer.poll() or 0) if trainer is not None else 0


def export_progress(run: Path, out: Path) -> None:
    """Put the light run, the log and the newest sheet into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    write_pieces(portable_files(run), out)
    shutil.copy(run / "train.log", out / "train.log")
    if sheets := sorted(run.glob("*/sample_*.png"), key=lambda path: path.stat().st_mtime):
        shutil.copy(sheets[-1], out / "newest.png")


def portable_files(run: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the files of a run that are carried."""
    phases = sorted(run.glob("joint_*/state.safetensors"), key=lambda path: path.stat().st_mtime)
    newest = phases[-1].parent if phases else None
    for path in _files(run):
        name = path.relative_to(run)
        stage, folder = name.parts[0], path.parent
        rendered = folder == run and path.stem.rstrip("_0123456789") in MATERIAL
        if rendered or EXCLUDED & set(name.parts) or path.suffix in (".part", ".png"):
            continue
        if path.stem == "state" and stage in FINISHED and (folder / FINISHED[stage]).exists():
            continue
        if path.name in ("state.safetensors", "average.safetensors"):
            superseded = path.stem == "state" and (folder / "average.safetensors").exists()
            if superseded or (stage not in FINISHED and folder != newest):
                continue
            yield str(name), _to_half_precision(path)
        else:
            yield str(name), path.read_bytes()


def write_pieces(files: Iterable[tuple[str, bytes]], out: Path, compression: str = "") -> None:
    """Write one archive in numbered pieces that together replace those in ``out``."""
    archive_bytes = io.BytesIO()
    with tarfile.open(fileobj=archive_bytes, mode=f"w:{compression}") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    out.mkdir(parents=True, exist_ok=True)
    packed = archive_bytes.getvalue()
    starts = range(0, len(packed), PIECE_BYTES)
    for number, start in enumerate(starts):
        partial = out / f"run.tar.{number:02d}.part"
        partial.write_bytes(packed[start : start + PIECE_BYTES])
        partial.replace(partial.with_suffix(""))
    for old in out.glob("run.tar.??"):
        if int(old.suffix[1:]) >= len(starts):
            old.unlink()
    print(f"{out}: {len(packed) / 1e6:.1f} MB in {len(starts)} pieces", flush=True)


def unpack(folder: Path, run: Path) -> None:
    """Put a run together from pieces."""
    pieces = sorted(folder.glob("run.tar.??"))
    archive_bytes = io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))
    with tarfile.open(fileobj=archive_bytes, mode="r:*") as archive:
        archive.extractall(run, filter="data")


def _to_half_precision(path: Path) -> bytes:
    """Return a file of weights in half precision; of a trainer's state only the averages."""
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        counters = file.metadata()
    if path.stem == "state":
        tensors = {name: t for name, t in tensors.items() if name.startswith("average.")}
    halves = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    return save(halves, counters)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _start(run: Path, train: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "layert2v_engine", "train", *train, "--run", str(run)]
    with (run / "train.log").open("ab") as log:
        trainer = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    (run / "trainer.pid").write_text(str(trainer.pid))
    return trainer


def _is_running(run: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((run / "trainer.pid").read_text()), 0)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
