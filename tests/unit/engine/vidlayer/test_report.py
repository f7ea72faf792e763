from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from layert2v_engine.vidlayer.clips import FOOTAGE
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.report import count_reasons, read_catalogue, write_report
from layert2v_engine.vidlayer.state import WORK


def record(clip: str, **facts: Any) -> dict[str, Any]:
    usual = {"source": f"shots/{clip}.mp4", "licence": "CC0-1.0", "captions": {"full": "a <dog>"}}
    return {"clip": clip, "kept": False, "split": "train", "reasons": [], "quarantine": {},
            **usual, **facts}  # fmt: skip


def test_a_page_tells_what_is_kept_and_why_the_rest_is_not(tmp_path: Path) -> None:
    records = [
        record("good", kept=True),
        record("still", reasons=["static: 0 is below 0.1"]),
        record("broken", source=None, licence=None, captions={"full": ""},
               quarantine={"message": "broken.mp4 is no video.", "source": "shots/broken.mp4"}),
    ]  # fmt: skip
    (tmp_path / "catalogue.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    folder = tmp_path / WORK / "still"
    folder.mkdir(parents=True)
    write_lossless(folder / FOOTAGE, np.zeros((1, 32, 48, 3), np.uint8), 24)

    page = write_report(tmp_path).read_text()

    assert "3 clips: 1 kept (1 to train on, 0 held out), 2 out." in page
    assert "still.mp4<br>CC0-1.0<br>a &lt;dog&gt;" in page
    assert "static: 0 is below 0.1" in page
    assert "<td>static</td><td>1</td><td>nothing moves</td>" in page
    assert "quarantine: broken.mp4 is no video." in page
    assert "broken.mp4<span class=out><br>quarantine" in page  # its licence was never looked up
    assert page.count("<img") == 1  # of the one that was never cut
    assert count_reasons(read_catalogue(tmp_path)) == {"static": 1, "quarantine": 1}
