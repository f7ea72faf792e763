"""Our own form: the authors' folders, with the layers that theirs leaves out beside them.

``DATA_SET/catalogue.jsonl`` names the clips that were kept, with captions, scores and provenance.
A clip's ``layers/`` holds, for each foreground from the bottom, lossless ``foreground_01.mkv``
(straight color), ``matte_01.mkv``, ``shadow_01.mkv`` and ``light_01.mkv`` (what it adds to the
background; sets built by earlier versions have none), and a lossless ``background.mkv``. Below the
topmost foreground there is ``background_over_01.mkv`` too: what is left without those above it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layert2v_engine.vidlayer.readers.authors import FULL, read_object
from layert2v_engine.vidlayer.readers.sample import LayerFiles, SampleFiles

CATALOGUE = "catalogue.jsonl"
CLIPS = "clips"
LAYERS = "layers"
OVER = "background_over_{:02d}.mkv"


class OwnDataSet:
    """The clips of a catalogue; ``split`` is train, held_out or "" for both."""

    def __init__(self, root: Path, split: str = "") -> None:
        path = root / CATALOGUE
        records = [
            read_object(f"{path}, line {number}", line)
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        ]
        chosen = [each for each in records if each.get("kept") and split in ("", each.get("split"))]
        self.samples = tuple(_read_record(root, record) for record in chosen)


def _read_record(root: Path, record: Any) -> SampleFiles:
    folder = root / CLIPS / record["clip"]
    layers, captions = folder / LAYERS, record["captions"]
    hashes = record.get("sha256", {})
    foregrounds = tuple(
        LayerFiles(
            matte=layers / f"matte_{number:02d}.mkv",
            color=layers / f"foreground_{number:02d}.mkv",
            shadow=layers / f"shadow_{number:02d}.mkv",
            light=layers / light if f"{LAYERS}/{light}" in hashes else None,
            over=layers / over if f"{LAYERS}/{over}" in hashes else None,
            caption=caption,
        )
        for number, caption in enumerate(captions["foregrounds"], 1)
        for light, over in ((f"light_{number:02d}.mkv", OVER.format(number)),)
    )
    return SampleFiles(
        name=record["clip"],
        full=layers / f"{FULL}.mkv",
        background=layers / "background.mkv",
        foregrounds=foregrounds,
        caption=captions["full"],
        background_caption=captions["background"],
        facts=dict(record),
    )
