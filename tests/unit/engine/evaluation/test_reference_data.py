"""What an evaluation keeps in a folder, and uses only where it fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from layert2v.spec import ModelInfo
from layert2v_engine.errors import EngineError
from layert2v_engine.evaluation import reference_data
from layert2v_engine.evaluation.samples import selection_of
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.pipeline import find_model


@pytest.fixture
def mini() -> ModelInfo:
    return read_index(find_model("mini")).info


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"default_width": 512}, "pixels"),
        ({"vocabulary": {"subject": ("fox",)}}, "words it does not know"),
    ],
)
def test_a_world_made_for_another_model_is_refused(
    change: dict[str, object],
    what: str,
    mini: ModelInfo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = SimpleNamespace(
        width=mini.default_width, height=mini.default_height, selection=selection_of(mini)
    )
    monkeypatch.setattr(reference_data, "World", lambda _: world)
    reference_data._check_world(world, mini, tmp_path)  # type: ignore[arg-type]
    (tmp_path / "world").mkdir()
    words = {**mini.vocabulary, **change.pop("vocabulary", {})}  # type: ignore[dict-item]
    other = replace(mini, vocabulary=words, **change)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=what):
        reference_data.prepare(tmp_path, other, clip_count=1, train_s=1.0)
