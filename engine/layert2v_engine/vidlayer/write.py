"""Stage 5: kept clips to the authors' folders and JSON lines, our layers, and a catalogue."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.vidlayer.annotate import foreground_captions, notes_of
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.movies import read_bytes, write_h264
from layert2v_engine.vidlayer.parquet import PARQUET, has_parquet, write_parquet
from layert2v_engine.vidlayer.readers.own import CATALOGUE, CLIPS, LAYERS, OVER
from layert2v_engine.vidlayer.state import QUARANTINE, ClipState, clip_states

HELD_OUT_SHARE = 0.1
SPLITS = ("train", "held_out")


class WriteStage(PerClipStage):
    """Writes ``clips/CLIP`` of a clip that passed inspection."""

    name = "write"
    after = "inspect"

    def work_on(self, state: ClipState) -> dict[str, Any]:
        """Write one clip in a folder of another name, which then becomes its own."""
        folder = self.root / CLIPS / state.clip
        partial = folder.with_name(f".{state.clip}.part")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        (partial / LAYERS).mkdir(parents=True)
        for path in sorted((state.folder / LAYERS).iterdir()):
            os.link(path, partial / LAYERS / path.name)
        fps = float(state.read("clip")["fps"])
        top = state.read("cut")["foregrounds"]
        below = Path(OVER.format(top - 1)).stem if top > 1 else "background"
        names = {"full_video": "full_video", "background": below, "mask": f"matte_{top:02d}"}
        for name, layer in names.items():
            pictures = read_bytes(partial / LAYERS / f"{layer}.mkv")
            write_h264(partial / f"{name}.mp4", pictures, fps)
        captions = _captions(state)
        metadata = {
            "paths": {"full_video": "full_video.mp4", "background_video": "background.mp4",
                      "mask_video": "mask.mp4"},
            "captions": {"full": captions["full"], "foreground": captions["foregrounds"][-1],
                         "background": _caption_below(captions)},
        }  # fmt: skip
        (partial / "metadata.json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
        hashes = {
            path.relative_to(partial).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        partial.replace(folder)
        return {"sha256": hashes}


def split_of(group: str) -> str:
    """Return the split of all clips of a source group, which depends on its name alone."""
    digest = hashlib.sha256(group.encode()).digest()
    return SPLITS[int.from_bytes(digest[:8], "big") / 2**64 < HELD_OUT_SHARE]


def write_catalogue(root: Path) -> dict[str, int]:
    """Write ``catalogue.jsonl`` with all clips, and JSON lines per split; return the counts.

    Where pyarrow is installed, there is ``catalogue.parquet`` too.
    """
    records = [_record(state) for state in clip_states(root)]
    _write_lines(root / CATALOGUE, records)
    if has_parquet():
        write_parquet(root / PARQUET, records)
    kept = [each for each in records if each["kept"]]
    for split in SPLITS:
        lines = [_authors_line(each) for each in kept if each["split"] == split]
        _write_lines(root / f"{split}.jsonl", lines)
    return {
        "clips": len(records),
        "kept": len(kept),
        "quarantine": sum(bool(each["quarantine"]) for each in records),
    }


def _record(state: ClipState) -> dict[str, Any]:
    clip, inspection = (state.read(each) for each in ("clip", "inspect"))
    written = state.is_done("write") and not state.is_out
    shared = ("source", "source_sha256", "group", "licence", "provenance", "first_frame", "frames",
              "fps", "size")  # fmt: skip
    return {
        "clip": state.clip,
        "kept": written,
        "split": split_of(clip.get("group", "")),
        **{key: clip.get(key) for key in shared},
        "captions": _captions(state),
        "scores": clip.get("scores", {}) | inspection.get("scores", {}),
        "reasons": clip.get("reasons", []) + inspection.get("reasons", []),
        "judge": inspection.get("judge", ""),
        "quarantine": state.read(QUARANTINE),
        "sha256": state.read("write").get("sha256", {}) if written else {},
    }


def _authors_line(record: dict[str, Any]) -> dict[str, Any]:
    folder = f"{CLIPS}/{record['clip']}"
    return {
        "vid": f"{folder}/full_video.mp4",
        "entry": {"pha_video_path": f"{folder}/mask.mp4", "bg_path": f"{folder}/background.mp4"},
        "overall_description": record["captions"]["full"],
        "foreground_prompt": record["captions"]["foregrounds"][-1],
        "background_prompt": _caption_below(record["captions"]),
    }


def _captions(state: ClipState) -> dict[str, Any]:
    notes = notes_of(state)
    return {
        "full": notes.get("full_caption", ""),
        "foregrounds": foreground_captions(notes, state.read("cut").get("foregrounds", 0)),
        "background": notes.get("background_caption", ""),
        "by": notes.get("captions_by", ""),
    }


def _caption_below(captions: Mapping[str, Any]) -> str:
    """Return the caption of what is below the topmost foreground, the authors' background."""
    return ", ".join([*captions["foregrounds"][-2::-1], captions["background"]])


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(each, sort_keys=True) + "\n" for each in records)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
