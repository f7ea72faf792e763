"""What the model that ships offers, from its index: a Python of a host has no engine."""

from __future__ import annotations

import json
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "engine/layert2v_engine/checkpoints/mini"
INFO = json.loads((MODEL / "model_index.json").read_text(encoding="utf-8"))["layert2v"]["info"]
WIDTH, HEIGHT, FRAMES = (INFO[f"default_{name}"] for name in ("width", "height", "frames"))
