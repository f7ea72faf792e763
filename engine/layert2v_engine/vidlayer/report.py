"""An HTML page about a data set: what was kept and what not, why, with pictures, in one file."""

from __future__ import annotations

import base64
import html
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.vidlayer.clips import FOOTAGE
from layert2v_engine.vidlayer.movies import read_bytes
from layert2v_engine.vidlayer.readers.own import CATALOGUE, LAYERS
from layert2v_engine.vidlayer.state import WORK
from layert2v_engine.vidlayer.thresholds import Thresholds

REPORT = "report.html"
_SHOWN, _WIDTH = 60, 200
_WHOLE = ("full_video", "background")
_OF_EACH = ("foreground", "matte", "shadow", "background_over")  # but the last of the topmost
_MEANINGS = {
    "near_duplicate": "it looks like another clip",
    "too_short": "no shot of the source is long enough",
    "quarantine": "it could not be worked on",
    "caption_fits": "the judge says that the caption is not of this subject",
    "subject_whole": "the judge sees holes in the subject, or pieces of the scene",
    "subject_gone": "the judge still sees the subject in the background",
    "background_real": "the judge sees smears or ghosts in the background",
}
_STYLE = (
    "body{font:14px sans-serif;margin:2em;background:#222;color:#ddd}"
    "table{border-collapse:collapse}"
    "td,th{padding:4px 8px;max-width:24em;overflow-wrap:anywhere}"
    "td,th{text-align:left;vertical-align:top;border-bottom:1px solid #444}"
    ".out{color:#f99}.kept{color:#9d9}img{display:block}"
)


def read_catalogue(root: Path) -> list[dict[str, Any]]:
    """Return what the catalogue of a data set says of each clip."""
    lines = (root / CATALOGUE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def count_reasons(records: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return how many clips are out for each reason, the most frequent first."""
    reasons = Counter(_short(reason) for each in records for reason in _reasons(each))
    return dict(reasons.most_common())


def write_report(root: Path) -> Path:
    """Write ``report.html`` about the data set in ``root``; return its path."""
    records = read_catalogue(root)
    kept = [each for each in records if each["kept"]]
    out = [each for each in records if not each["kept"]]
    splits = Counter(each["split"] for each in kept)
    meanings = Thresholds.load().meanings() | _MEANINGS
    counts = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{count}</td>"
        f"<td>{html.escape(meanings.get(name, ''))}</td></tr>"
        for name, count in count_reasons(records).items()
    )
    columns = _columns(records)
    heads = "".join(f"<th>{name}</th>" for name in columns)
    rows = "".join(_row(root, each, columns) for each in [*kept[:_SHOWN], *out[:_SHOWN]])
    page = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(root.name)}</title>"
        f"<style>{_STYLE}</style><h1>{html.escape(root.name)}</h1>"
        f"<p>{len(records)} clips: {len(kept)} kept ({splits['train']} to train on, "
        f"{splits['held_out']} held out), {len(out)} out. Up to {_SHOWN} of each are shown, with "
        "the frame in the middle.</p>"
        f"<table><tr><th>out for</th><th>clips</th><th></th></tr>{counts}</table>"
        f"<h2>Clips</h2><table><tr><th>clip</th>{heads}</tr>{rows}</table>"
    )
    path = root / REPORT
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _columns(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the layers to show, of the clip with the most foregrounds."""
    most = max((len(each["captions"].get("foregrounds", ())) for each in records), default=1)
    layers = [f"{name}_{k:02d}" for k in range(1, max(1, most) + 1) for name in _OF_EACH]
    return [*_WHOLE, *layers[:-1]]


def _row(root: Path, record: dict[str, Any], columns: Sequence[str]) -> str:
    folder = root / WORK / record["clip"]
    source = record["source"] or record["quarantine"].get("source", "")
    words = [Path(source).name, _licence(record["licence"]), record["captions"]["full"]]
    text = "".join(f"<br>{html.escape(each)}" for each in words if each)
    why = "".join(f"<br>{html.escape(each)}" for each in _reasons(record))
    state = "kept" if record["kept"] else "out"
    files = {name: folder / LAYERS / f"{name}.mkv" for name in columns}
    if not files[_WHOLE[0]].exists():  # it was out before it was cut
        files[_WHOLE[0]] = folder / FOOTAGE
    cells = "".join(f"<td>{_picture(path)}</td>" for path in files.values())
    return (
        f"<tr><td><b class={state}>{html.escape(record['clip'])}</b>{text}"
        f"<span class=out>{why}</span></td>{cells}</tr>"
    )


def _licence(licence: str | None) -> str:
    """Return what a page says; of what could not be read, None, nothing is known."""
    return "" if licence is None else licence or "no licence"


def _reasons(record: dict[str, Any]) -> list[str]:
    out = record["quarantine"]
    return [*record["reasons"], *([f"quarantine: {out['message']}"] if out else [])]


def _short(reason: str) -> str:
    return reason.partition(":")[0]


def _picture(path: Path) -> str:
    if not path.exists():
        return ""
    pictures = read_bytes(path)
    image = Image.fromarray(np.asarray(pictures[len(pictures) // 2]))
    image.thumbnail((_WIDTH, _WIDTH))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">'
