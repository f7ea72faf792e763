from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fakes.moving_disc import disc_clip
from fakes.tiny_wan import write_stock_folder
from layert2v.decompose import SCRATCH_FOLDER
from layert2v.spec import GenerateSpec
from layert2v_engine.engine import Engine
from layert2v_engine.errors import Cancelled, InvalidSpec, ModelNotFound
from layert2v_engine.image import exr
from layert2v_engine.recipes.from_prompt import decompose_request, whole_prompt
from layert2v_engine.recipes.text_to_video import TextToVideo, load_text_to_video
from layert2v_engine.stack.inspect import inspect

SPEC = GenerateSpec(
    prompt="a red fox running through the forest",
    model="flat+decompose",
    width=96,
    height=64,
    frames=5,
    steps=2,
    seed=3,
    start_frame=1001,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_stock_folder(root / "wan-t2v")
    return root


def generate(engine: Engine, folder: Path, spec: GenerateSpec = SPEC, **calls: Any) -> Any:
    report: Callable[[Any], None] = calls.get("report", lambda _: None)
    cancelled: Callable[[], bool] = calls.get("cancelled", lambda: False)
    return engine.generate(spec, folder, report=report, cancelled=cancelled)


def test_a_recipe_is_listed_like_a_model_where_its_weights_are(
    weights: Path, tmp_path: Path
) -> None:
    models = {model.name: model for model in Engine(weights=weights).models()}
    assert models["flat+decompose"].size_step == 16
    assert "flat+decompose" not in {model.name for model in Engine(weights=tmp_path).models()}
    with pytest.raises(ModelNotFound, match="no model called 'flat"):
        generate(Engine(weights=tmp_path), tmp_path / "out")


def test_what_is_wrong_with_weights_keeps_no_model_from_working(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Engine(weights=weights).models()[0].name == "mini"  # what hosts choose by themselves
    (tmp_path / "wan-t2v").mkdir()
    (tmp_path / "wan-t2v" / "licence.toml").write_text("commercial =")
    assert [model.name for model in Engine(weights=tmp_path).models()] == ["mini"]
    assert "recipe=flat+decompose skipped" in caplog.text


@pytest.mark.parametrize("version", ["2.1", "2.2"])
def test_wan_makes_a_video_in_the_size_that_is_asked_for(version: str, tmp_path: Path) -> None:
    network = load_text_to_video(write_stock_folder(tmp_path / "wan", version), CPU)
    steps: list[int] = []
    video = network.sample(
        torch.randn(2, 512, 32),
        size=(96, 64),
        frames=5,
        steps=2,
        guidance=3.0,
        seed=1,
        on_step=steps.append,
    )
    assert video.shape == (5, 3, 64, 96)
    assert 0 <= video.min() <= video.max() <= 1
    assert steps == [1, 2]


@pytest.fixture
def films_a_disc(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Let Wan run, and show what is worth taking apart in place of its noise."""
    seen: list[Tensor] = []
    sample = TextToVideo.sample

    def film(self: TextToVideo, text: Tensor, **settings: Any) -> Tensor:
        seen.append(sample(self, text, **settings))
        source = disc_clip(frames=settings["frames"]).source
        return torch.from_numpy(np.clip(source, 0, 1) ** (1 / 2.2)).movedim(-1, 1)

    monkeypatch.setattr(TextToVideo, "sample", film)
    return seen


def test_a_sentence_becomes_a_stack_that_closes(
    weights: Path, tmp_path: Path, films_a_disc: list[Tensor]
) -> None:
    stages: list[str] = []
    stack = generate(
        Engine(weights=weights), tmp_path / "fox", report=lambda p: stages.append(p.stage)
    )
    assert films_a_disc[0].shape == (5, 3, 64, 96)
    assert [layer.name for layer in stack.layers] == ["bg", "shadow_01", "fg_01"]
    assert (stack.prompt, stack.seed, stack.model) == (SPEC.prompt, 3, "flat+decompose")
    assert (stack.history[0].action, stack.start_frame) == ("generate", 1001)
    assert not inspect(tmp_path / "fox", stack).problems
    assert {"wan-t2v", "splitter"} <= {each.name for each in stack.networks}
    assert [*dict.fromkeys(stages)][:2] == ["load", "denoise"]
    for index in range(5):
        comp, ref = (
            exr.read(tmp_path / "fox" / stack.flat(name).files[index].path).float()
            for name in ("comp", "ref")
        )
        assert torch.allclose(comp, ref, rtol=2e-3, atol=1e-4)
    assert not (tmp_path / "fox" / SCRATCH_FOLDER).exists()


def test_an_attempt_that_was_killed_does_not_make_its_video_again(
    weights: Path, tmp_path: Path, films_a_disc: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    engine, folder = Engine(weights=weights), tmp_path / "fox"
    monkeypatch.setattr("layert2v_engine.recipes.from_prompt.Decomposition.run", die)
    monkeypatch.setattr("layert2v_engine.recipes.from_prompt.shutil.rmtree", lambda *a, **k: None)
    for spec, films in ((SPEC, 1), (SPEC, 1), (replace(SPEC, seed=4), 2)):
        with pytest.raises(Killed):
            generate(engine, folder, spec)
        assert len(films_a_disc) == films


def test_cancelling_leaves_nothing(weights: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    with pytest.raises(Cancelled):
        generate(
            Engine(weights=weights),
            tmp_path / "fox",
            report=lambda p: stages.append(p.stage),
            cancelled=lambda: "denoise" in stages,
        )
    assert not (tmp_path / "fox").exists()


def test_a_size_that_wan_cannot_make_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="width"):
        generate(Engine(weights=weights), tmp_path / "fox", replace(SPEC, width=100))


def test_foregrounds_are_subjects_nearest_first_and_said_once() -> None:
    spec = replace(SPEC, foreground_prompts=("a bear", "a red fox"), background_prompt="snow")
    assert [each.words for each in decompose_request(spec).subjects] == ["a red fox", "a bear"]
    assert whole_prompt(spec) == "a red fox running through the forest, a bear, snow"
