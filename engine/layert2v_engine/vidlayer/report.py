"""An HTML page about a data set: what was kept and what not, why, with pictures, in one file."""

from __future__ import annotations

import base64
import html
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.vidlayer.movies import read_bytes
from layert2v_engine.vidlayer.readers.own import CATALOGUE, LAYERS
from layert2v_engine.vidlayer.state import WORK

REPORT = "report.html"
_SHOWN, _WIDTH = 60, 200
_COLUMNS = ("full_video", "background", "foreground_01", "matte_01", "shadow_01")
_STYLE = (
    "body{font:14px sans-serif;margin:2em;background:#222;color:#ddd}"
    "table{border-collapse:collapse}"
    "td,th{padding:4px 8px;text-align:left;vertical-align:top;border-bottom:1px solid #444}"
    ".out{color:#f99}.kept{color:#9d9}img{display:block}"
)


def write_report(root: Path) -> Path:
    """Write ``report.html`` about the data set in ``root``; return its path."""
    lines = (root / CATALOGUE).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    reasons = Counter(_short(reason) for each in records for reason in _reasons(each))
    kept = sum(each["kept"] for each in records)
    counts = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{count}</td></tr>"
        for name, count in reasons.most_common()
    )
    chosen = [each for each in records if each["kept"]][:_SHOWN]
    chosen += [each for each in records if not each["kept"]][:_SHOWN]
    rows = "".join(_row(root, each) for each in chosen)
    heads = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    page = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(root.name)}</title>"
        f"<style>{_STYLE}</style><h1>{html.escape(root.name)}</h1>"
        f"<p>{len(records)} clips, {kept} kept, {len(records) - kept} not. Up to {_SHOWN} of each "
        f"are shown.</p><table><tr><th>reason</th><th>clips</th></tr>{counts}</table>"
        f"<h2>Clips</h2><table><tr><th>clip</th>{heads}</tr>{rows}</table>"
    )
    path = root / REPORT
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _row(root: Path, record: dict[str, Any]) -> str:
    state = "kept" if record["kept"] else "out"
    words = [record["captions"]["full"], *_reasons(record)]
    text = "<br>".join(html.escape(each) for each in words if each)
    folder = root / WORK / record["clip"] / LAYERS
    cells = "".join(f"<td>{_picture(folder / f'{name}.mkv')}</td>" for name in _COLUMNS)
    return f"<tr><td class={state}><b>{html.escape(record['clip'])}</b><br>{text}</td>{cells}</tr>"


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
