"""Recipes with networks of others, tiny and random, through a real server to stacks that close."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.live_server import live_server
from fakes.moving_disc import disc_clip, write_clip
from fakes.tiny_model import write_tiny_model
from fakes.tiny_weights import write_alpha, write_tiny_weights
from layert2v import stack
from layert2v.decompose import Box, DecomposeSpec, SubjectSpec
from layert2v.spec import GenerateSpec
from layert2v_client import Client, InvalidRequest, JobFailed, connect
from layert2v_engine.image import exr
from layert2v_engine.stack.inspect import inspect

BOX = DecomposeSpec((SubjectSpec(boxes=(Box(1001, 4, 18, 24, 24),)),), recipe="decompose+")
FRAMES = 6


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("server")
    settings = {
        "engine": "",
        "models": str(write_tiny_model(folder / "models")),
        "weights": str(write_alpha(write_tiny_weights(folder / "weights"))),
        "commercial_only": True,
        "lease_s": 120.0,
        "cancel_grace_s": 60.0,
    }
    with (
        live_server(folder / "data", **settings) as server,
        connect(server.ready["address"]) as connected,
    ):
        yield connected


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("footage") / "disc", disc_clip(frames=FRAMES).source)


@pytest.mark.parametrize("recipe", ["decompose+", "decompose+omnimatte"])
def test_a_recipe_ends_in_a_stack_that_closes(
    client: Client, footage: Path, tmp_path: Path, recipe: str
) -> None:
    job = client.decompose(footage, replace(BOX, recipe=recipe))
    job.wait()
    folder = job.download(tmp_path / "disc")
    made = stack.read(folder)
    assert [layer.name for layer in made.layers] == ["bg", "shadow_01", "fg_01"]
    assert not inspect(folder, made).problems
    for frame, source in enumerate(disc_clip(frames=FRAMES).source):
        comp = exr.read(folder / made.flat("comp").files[frame].path).float().numpy()
        np.testing.assert_allclose(comp[..., :3], source, rtol=2e-3)
    networks = {each.name: each for each in made.networks}
    assert {"sam2.1", "wan2.1-vae", "splitter", "umt5-xxl"} <= {*networks}
    assert all(len(each.sha256) == 64 for each in networks.values())
    assert "96 x 64 pixels from" in made.history[0].note


def test_a_recipe_whose_licence_is_open_is_refused(client: Client, footage: Path) -> None:
    with pytest.raises(JobFailed, match=r"rose \(Apache-2.0\) is not used here"):
        client.decompose(footage, replace(BOX, recipe="decompose+rose")).wait()


def test_words_need_a_network_that_is_not_here(client: Client, footage: Path) -> None:
    spec = DecomposeSpec((SubjectSpec("the dog"),), recipe="decompose+")
    with pytest.raises(JobFailed, match="needs Grounding DINO: There is no folder") as caught:
        client.decompose(footage, spec).wait()
    assert "Nothing is downloaded" in caught.value.hint


def test_a_recipe_that_is_not_known_costs_no_upload(client: Client, footage: Path) -> None:
    with pytest.raises(InvalidRequest, match="There is no recipe 'decompose9'; there are:"):
        client.decompose(footage, replace(BOX, recipe="decompose9"))


def test_a_sentence_is_asked_for_like_a_model(client: Client, tmp_path: Path) -> None:
    spec = GenerateSpec("a red fox", model="alpha", width=64, height=48, frames=5, steps=2, seed=1)
    job = client.submit(spec)
    job.wait()
    made = stack.read(job.download(tmp_path / "fox"))
    assert [layer.name for layer in made.layers] == ["bg", "fg_01"]
    assert not inspect(tmp_path / "fox", made).problems
    assert "wan-alpha-v2" in {each.name for each in made.networks}


def test_a_model_whose_terms_nobody_stated_is_refused(client: Client) -> None:
    spec = GenerateSpec("a fox", model="mini", steps=2)
    with pytest.raises(JobFailed, match=r"mini \(not stated\) is not used here"):
        client.submit(spec).wait()
