"""The catalogue as one Parquet file, a row per clip, for whoever selects among many.

Needs pyarrow (the extra ``vidlayer``). The same facts are in ``catalogue.jsonl``, which needs
nothing.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.vidlayer.readers.own import CLIPS

PARQUET = "catalogue.parquet"


def has_parquet() -> bool:
    """Tell whether Parquet can be written here."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write the records of a catalogue; a column per score, null where it was not measured."""
    import pyarrow
    from pyarrow import parquet

    scores = sorted({name for each in records for name in each["scores"]})
    text, number = pyarrow.string(), pyarrow.float64()
    fields = [
        ("clip", text), ("path", text), ("kept", pyarrow.bool_()), ("split", text),
        ("source", text), ("source_sha256", text), ("group", text), ("licence", text),
        ("provenance", text), ("first_frame", pyarrow.int64()), ("frames", pyarrow.int64()),
        ("fps", number), ("width", pyarrow.int64()), ("height", pyarrow.int64()),
        ("caption", text), ("foreground_captions", pyarrow.list_(text)),
        ("background_caption", text), ("captions_by", text), ("judge", text),
        ("reasons", pyarrow.list_(text)), ("quarantine", text),
        ("sha256", pyarrow.map_(text, text)),
        *((f"score_{name}", number) for name in scores),
    ]  # fmt: skip
    rows = [_row(each, scores) for each in records]
    table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(fields))
    with atomic_write(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def _row(record: dict[str, Any], scores: Sequence[str]) -> dict[str, Any]:
    same = ("clip", "kept", "split", "source", "source_sha256", "group", "licence", "provenance",
            "first_frame", "frames", "fps", "judge", "reasons")  # fmt: skip
    captions, size = record["captions"], record["size"] or [None, None]
    out = record["quarantine"]
    return {
        **{key: record[key] for key in same},
        "path": f"{CLIPS}/{record['clip']}" if record["kept"] else None,
        "width": size[0],
        "height": size[1],
        "caption": captions["full"],
        "foreground_captions": captions["foregrounds"],
        "background_caption": captions["background"],
        "captions_by": captions["by"],
        "quarantine": json.dumps(out, sort_keys=True) if out else None,
        "sha256": sorted(record["sha256"].items()),
        **{f"score_{name}": record["scores"].get(name) for name in scores},
    }
