"""A data set as shards for training elsewhere: WebDataset tar files, read in order from any disk.

A sample is the files of a tar whose names begin alike (github.com/webdataset/webdataset): layers
as lossless movies, captions and facts as JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layert2v_engine.errors import EngineError
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.vidlayer.readers.own import OwnDataSet
from layert2v_engine.vidlayer.readers.sample import SampleFiles
from layert2v_engine.vidlayer.write import SPLITS

INDEX = "index.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PackProgress:
    """How many clips are in finished shards."""

    done: int
    total: int


def pack(
    root: Path, out: Path, report: Callable[[PackProgress], None], *, clips_per_shard: int = 500
) -> dict[str, int]:
    """Write the kept clips of a data set as shards, per split; return the clips of each split.

    A shard is whole or not there, and the same clips give the same bytes: a run that was stopped
    goes on after the last one. ``index.json`` lists shards, clips and hashes, and is written last.
    Raises ``EngineError`` where no clip was kept.
    """
    by_split = kept_by_split(root)
    out.mkdir(parents=True, exist_ok=True)
    total, done = sum(map(len, by_split.values())), 0
    shards = []
    for split, samples in by_split.items():
        for number, first in enumerate(range(0, len(samples), clips_per_shard)):
            part = samples[first : first + clips_per_shard]
            path = out / f"{split}-{number:06d}.tar"
            shards.append(_finish_shard(path, split, part))
            done += len(part)
            report(PackProgress(done=done, total=total))
    with atomic_write(out / INDEX) as temporary:
        temporary.write_text(json.dumps({"shards": shards}, indent=1), encoding="utf-8")
    return {split: len(samples) for split, samples in by_split.items()}


def kept_by_split(root: Path) -> dict[str, Sequence[SampleFiles]]:
    """Return the kept clips of a data set by split. Raises ``EngineError`` where there are none."""
    by_split = {split: OwnDataSet(root, split).samples for split in SPLITS}
    if not any(by_split.values()):
        raise EngineError(
            f"No clip of {root} was kept.", "See its report for the reasons.", reason="NO_CLIPS"
        )
    return dict(by_split)


def _finish_shard(path: Path, split: str, samples: Sequence[SampleFiles]) -> dict[str, Any]:
    """Write a shard unless one of the same clips is there; return its record."""
    key = hashlib.sha256(json.dumps([_facts(each) for each in samples]).encode()).hexdigest()
    note = path.with_suffix(".json")
    if note.exists() and path.exists():
        record = json.loads(note.read_text(encoding="utf-8"))
        if record["key"] == key:
            return dict(record)
    note.unlink(missing_ok=True)
    with atomic_write(path) as temporary:
        _write_tar(temporary, samples)
        size_bytes = temporary.stat().st_size
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    record = {
        "path": path.name,
        "split": split,
        "clips": [each.name for each in samples],
        "size_bytes": size_bytes,
        "sha256": digest,
        "key": key,
    }
    with atomic_write(note) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return record


def _write_tar(path: Path, samples: Sequence[SampleFiles]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for name, source in _layers(sample):
                with source.open("rb") as file:
                    tar.addfile(_member(f"{sample.name}.{name}", source.stat().st_size), file)
            text = json.dumps(_facts(sample), sort_keys=True).encode()
            tar.addfile(_member(f"{sample.name}.json", len(text)), io.BytesIO(text))


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    """Return a header that tells of nothing but name and size: no owner, no time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size_bytes, 0o644
    return member


def _layers(sample: SampleFiles) -> list[tuple[str, Path]]:
    files = [("full_video", sample.full), ("background", sample.background)]
    for number, layer in enumerate(sample.foregrounds, 1):
        for name, path in (
            ("foreground", layer.color),
            ("matte", layer.matte),
            ("shadow", layer.shadow),
            ("light", layer.light),
            ("background_over", layer.over),
        ):
            if path is not None:
                files.append((f"{name}_{number:02d}", path))
    return [(f"{name}{path.suffix}", path) for name, path in files]


def _facts(sample: SampleFiles) -> dict[str, Any]:
    keys = ("captions", "licence", "provenance", "source_sha256", "fps", "frames", "sha256")
    return {"clip": sample.name, **{key: sample.facts[key] for key in keys}}
