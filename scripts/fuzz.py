"""Fuzz one reader of documents, guided by coverage: ``scripts/fuzz.py manifest|spec|exr OPTIONS``.

Needs atheris, which is in no lock: it is large, and wheels exist for a few versions of Python only.
The options are libFuzzer's, such as ``-max_total_time=60``. A reader may refuse anything with its
own error; whatever else it raises is a finding, and so is memory above 2 GB.
"""

from __future__ import annotations

import functools
import json
import random
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("scripts/fuzz.py needs atheris, which this Python has not: pip install atheris")

with atheris.instrument_imports(include=["layert2v"]):
    from layert2v.decompose import (
        Box,
        DecomposeSpec,
        SubjectSpec,
        decompose_from_json,
        decompose_to_json,
        refine_from_json,
    )
    from layert2v.errors import ContractError
    from layert2v.json_reader import parse
    from layert2v.rerender import RerenderSpec, rerender_from_json, rerender_to_json
    from layert2v.spec import GenerateSpec, spec_from_json, spec_to_json
    from layert2v.stack import dumps, loads
    from layert2v_server.worker.image_decode import find_problem, float_bytes

ROOT = Path(__file__).resolve().parents[1]
MAX_MEMORY_MB = 2048
HEADER_BYTES = 2000
EXR_MAGIC = b"v/1\x01"
BORDERS = (-(2**31), -1, 0, 1, 2, 255, 65_535, 2**24, 2**30, 2**31 - 1)
REMOVE = RerenderSpec(action="remove", layers=("fg_01",), prompts={"bg": "a forest"})
FOX = DecomposeSpec((SubjectSpec("the fox", boxes=(Box(1001, 10, 20, 30, 40),)),))


def read_manifest(data: bytes) -> None:
    """Read a manifest; what is read can be written and is the same then."""
    try:
        stack = loads(data.decode(errors="replace"))
    except ContractError:
        return
    if loads(dumps(stack)) != stack:
        raise AssertionError("a manifest that changes when it is written")


def read_spec(data: bytes) -> None:
    """Read every kind of spec."""
    for read in (spec_from_json, rerender_from_json, decompose_from_json, refine_from_json):
        try:
            read(parse(data.decode(errors="replace"), ContractError))
        except ContractError:
            continue


def read_exr(data: bytes) -> None:
    """Look at a picture as the child process does that decodes uploads."""
    with tempfile.NamedTemporaryFile(suffix=".exr", dir=_memory()) as file:
        file.write(data)
        file.flush()
        if float_bytes(file.name) < MAX_MEMORY_MB << 18:
            find_problem(file.name)


def mutate_picture(data: bytes, max_size: int, seed: int) -> bytes:
    """Return a whole picture with a few numbers of its header changed.

    The decoder is no Python, so that its coverage guides nothing, and bytes that are no picture are
    refused at once.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    picture = bytearray(chance.choice(seeds("exr")))
    header = min(len(picture), HEADER_BYTES)
    for _ in range(chance.randint(1, 6)):
        at, number = chance.randrange(4, header - 4), chance.choice(BORDERS)
        if chance.random() < 0.5:
            picture[at : at + 4] = struct.pack("<i", number)
        else:
            picture[at] = chance.randrange(256)
    return bytes(picture[:max_size])


def _memory() -> str | None:
    folder = Path("/dev/shm")  # noqa: S108  no disk for a million small files
    return str(folder) if folder.is_dir() else None


@functools.cache
def seeds(target: str) -> list[bytes]:
    """Return documents to start from."""
    if target == "spec":
        specs = (
            spec_to_json(GenerateSpec(prompt="a fox", seed=7)),
            rerender_to_json(REMOVE),
            decompose_to_json(FOX),
        )
        return [json.dumps(spec).encode() for spec in specs]
    folder = ROOT / "tests" / "compatibility"
    found = {"manifest": "**/stack.json", "exr": "**/*.exr"}[target]
    documents = [path.read_bytes() for path in sorted(folder.glob(found))][:50]
    return [data for data in documents if target != "exr" or data.startswith(EXR_MAGIC)]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "manifest": read_manifest,
    "spec": read_spec,
    "exr": read_exr,
}


def main() -> Any:
    """Fuzz the target that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    target = sys.argv[1]
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds(target)):
            (Path(corpus) / str(number)).write_bytes(data)
        options = [sys.argv[0], f"-rss_limit_mb={MAX_MEMORY_MB}", *sys.argv[2:], corpus]
        if target == "exr":
            longest = max(map(len, seeds(target)))
            options.insert(1, f"-max_len={longest}")
            atheris.Setup(options, read_exr, custom_mutator=mutate_picture)
        else:
            atheris.Setup(options, TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
