"""Footage through a real server and the real engine, and what a decomposed stack is good for.

A disc crosses a wall, so that what is behind it is seen in other frames.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.live_server import LiveServer, live_server
from fakes.moving_disc import GLINT, disc_clip, write_clip
from fakes.nk_stacks import write_two_foregrounds
from fakes.tiny_model import write_tiny_model
from layert2v import stack
from layert2v.decompose import Box, DecomposeSpec, RefineSpec, SubjectSpec
from layert2v.rerender import DonorLayer, Plate, RerenderSpec
from layert2v.stack import Stack
from layert2v_client import (
    Client,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    connect,
    stack_history,
)
from layert2v_client.cli import main as client_command
from layert2v_engine.cli import main as engine_command
from layert2v_engine.image import exr
from layert2v_engine.stack.inspect import inspect

SUBJECT = SubjectSpec(boxes=(Box(1001, 4, 18, 24, 24),))
BOX = DecomposeSpec((SUBJECT,), first=1001, last=1005, compression="zip")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    models = write_tiny_model(folder / "models")
    settings = {"engine": "", "models": str(models), "lease_s": 60.0, "cancel_grace_s": 30.0}
    with live_server(folder / "data", **settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[Client]:
    with connect(server.ready["address"]) as connected:
        yield connected


@pytest.fixture(scope="module")
def disc(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a decomposed stack."""
    folder = tmp_path_factory.mktemp("disc")
    footage = write_clip(folder / "footage", disc_clip(frames=5).source)
    job = client.decompose(footage, BOX)
    with job.watch() as updates:
        previews = [update.preview for update in updates]
    assert any(previews), "no picture of the matte while it ran"
    job.wait()
    return job.download(folder / "disc")


def pixels(folder: Path, name: str, frame: int) -> np.ndarray:
    made = stack.read(folder)
    sequence = next(each for each in made.sequences() if each.name == name)
    return exr.read(folder / sequence.files[frame].path).float().numpy()


def glints(folder: Path) -> set[float]:
    """Return the brightest value of each frame of the comp."""
    return {float(pixels(folder, "comp", frame)[..., :3].max()) for frame in range(5)}


def compressions(folder: Path) -> dict[str, str]:
    return {each.name: each.compression for each in inspect(folder, stack.read(folder)).sequences}


def test_files_are_compressed_as_the_request_says(disc: Path) -> None:
    assert {name: compressions(disc)[name] for name in ("bg", "fg_01", "ref")} == {
        "bg": "zip",
        "fg_01": "zip",
        "ref": "zip",
    }


def test_the_layers_add_up_to_the_footage(disc: Path) -> None:
    made = stack.read(disc)
    assert (made.start_frame, made.frames, made.width, made.height) == (1001, 5, 96, 64)
    assert [layer.name for layer in made.layers] == ["bg", "shadow_01", "fg_01"]
    assert not inspect(disc, made).problems
    source = disc_clip(frames=5).source
    for frame in range(5):
        np.testing.assert_allclose(pixels(disc, "comp", frame)[..., :3], source[frame], rtol=2e-3)
    assert glints(disc) == {GLINT}


def change(client: Client, disc: Path, spec: RerenderSpec, **inputs: Path) -> Stack:
    job = client.rerender(disc, spec, inputs)
    job.wait()
    return job.merge_into(disc)


def test_another_background_keeps_the_subject_and_its_shadow(
    client: Client, disc: Path, tmp_path: Path
) -> None:
    wall = disc_clip(frames=5, seed=7).background
    plate = write_clip(tmp_path / "plate", wall)
    before = stack.read(disc)
    spec = RerenderSpec("replace", ("bg",), plate=Plate("plate", "lin_rec709_scene"))
    after = change(client, disc, spec, plate=plate)
    for name in ("shadow_01", "fg_01"):
        assert after.layer(name) == before.layer(name)
    shadow, front = (pixels(disc, name, 2) for name in ("shadow_01", "fg_01"))
    darker = wall[2] * (1 - shadow[..., 3:])
    expected = front[..., :3] + darker * (1 - front[..., 3:])
    np.testing.assert_allclose(pixels(disc, "comp", 2)[..., :3], expected, rtol=4e-3, atol=1e-3)
    assert glints(disc) == {GLINT}
    restored = stack_history.restore(disc, before.state)
    assert restored.layer("bg") == before.layer("bg")


def test_the_background_of_a_generated_stack_is_lit_by_the_shadow(
    client: Client, disc: Path, tmp_path: Path
) -> None:
    write_two_foregrounds(tmp_path / "place", frames=5)
    before = stack.read(disc)
    spec = RerenderSpec("replace", ("bg",), plate=Plate("plate", fit="fit"))
    after = change(client, disc, spec, plate=tmp_path / "place" / "bg" / "v001")
    for name in ("shadow_01", "fg_01"):
        assert after.layer(name) == before.layer(name)
    shadow, plate, comp = (pixels(disc, name, 2) for name in ("shadow_01", "bg", "comp"))
    place = (shadow[..., 3] > 0.05) & (pixels(disc, "fg_01", 2)[..., 3] == 0)
    assert place.sum() > 20
    light = comp[place, :3] / plate[place, :3]
    np.testing.assert_allclose(light, 1 - shadow[place, 3:].repeat(3, -1), atol=2e-3)
    stack_history.restore(disc, before.state)


def test_a_matte_of_the_artists_own_is_solved_again(
    client: Client, disc: Path, tmp_path: Path
) -> None:
    truth = disc_clip(frames=5)
    roto = write_clip(tmp_path / "roto", truth.alpha, name="roto")
    before = stack.read(disc)
    spec = RefineSpec("fg_01", "roto", at=1, compression="piz")
    job = client.refine(disc, spec, {"roto": roto})
    job.wait()
    after = job.merge_into(disc)
    assert (after.history[-1].action, after.history[-1].parent) == ("refine", 1)
    assert after.layer("fg_01") != before.layer("fg_01")
    assert not inspect(disc, after).problems
    assert (compressions(disc)["fg_01"], glints(disc)) == ("piz", {GLINT})
    alpha = pixels(disc, "fg_01", 2)[..., 3]
    assert np.abs(alpha - truth.alpha[2]).mean() < 0.01
    np.testing.assert_allclose(pixels(disc, "comp", 2)[..., :3], truth.source[2], rtol=2e-3)


def test_its_subject_goes_into_another_stack(client: Client, disc: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    stack_history.clone(disc, other)
    spec = RerenderSpec("add", ("fg_02",), donor=DonorLayer("donor", "fg_01", with_shadow=True))
    mixed = change(client, other, spec, donor=disc)
    assert [layer.name for layer in mixed.layers][-2:] == ["shadow_02", "fg_02"]
    assert glints(other) == {GLINT}
    assert not inspect(other, mixed).problems


def test_a_model_is_named_where_a_layer_should_be_generated(client: Client, disc: Path) -> None:
    spec = RerenderSpec("regenerate", ("fg_01",), prompts={"fg_01": "a fox"})
    with pytest.raises(InvalidRequest, match="made without a model; name the one"):
        client.rerender(disc, spec)


def test_previews_and_the_viewer_show_it(disc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine_command.main(["preview", str(disc)]) == 0
    names = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert names == {"contact.png", "preview.mp4", "viewer.html"}
    assert not inspect(disc, stack.read(disc)).problems


def test_footage_that_cannot_be_used_is_refused_in_a_sentence(
    client: Client, tmp_path: Path
) -> None:
    pictures, alpha = disc_clip(frames=5).source, disc_clip(frames=5).alpha
    one = write_clip(tmp_path / "one", pictures[:1])
    whole = write_clip(tmp_path / "whole", pictures)
    cut = write_clip(tmp_path / "cut", np.concatenate((pictures, 3 - 2 * pictures[::-1])))
    small = write_clip(tmp_path / "small", alpha[:, ::2, ::2])
    matted = DecomposeSpec((SubjectSpec(matte="roto"),))
    jobs = {
        "frames?|still": client.decompose(one),
        "cut": client.decompose(cut),
        "48 x 32": client.decompose(whole, matted, {"roto": small}),
    }
    for words, job in jobs.items():
        with pytest.raises(JobFailed, match=words):
            job.wait()


def test_an_edit_becomes_a_stack_for_each_shot(server: LiveServer, tmp_path: Path) -> None:
    clip = disc_clip(frames=3)
    cut = np.concatenate((clip.source, 3 - 2 * clip.source[::-1]))
    footage = write_clip(tmp_path / "edit", cut)
    roto = write_clip(tmp_path / "roto", np.concatenate((clip.alpha, clip.alpha[::-1])))
    words = ["decompose", str(footage), "--matte", str(roto), "--out", str(tmp_path / "out")]
    out, err = io.StringIO(), io.StringIO()

    def call(*more: str) -> int:
        address = server.ready["address"]
        args = client_command.parser().parse_args([*words, *more, "--server", address])
        return client_command.run(args, {}, out, err)

    assert call() != 0
    assert "(--split-at-cuts): frames 1001-1003, 1004-1006." in err.getvalue()
    assert call("--split-at-cuts") == 0, err.getvalue()
    folders = [Path(line) for line in out.getvalue().splitlines()]
    assert [folder.name for folder in folders] == ["shot_01", "shot_02"]
    assert [stack.read(folder).start_frame for folder in folders] == [1001, 1004]


def test_a_killed_worker_leaves_what_it_had_finished(
    server: LiveServer, client: Client, tmp_path: Path
) -> None:
    truth = disc_clip(frames=16, seed=3)
    footage = write_clip(tmp_path / "footage", truth.source)
    roto = {"roto": write_clip(tmp_path / "roto", truth.alpha)}
    matted = DecomposeSpec((SubjectSpec(matte="roto"),))
    calm = client.decompose(footage, matted, roto)
    calm.wait()
    shaken = client.decompose(footage, matted, roto)
    stages: list[str] = []
    first = None
    with shaken.watch() as updates:
        for update in updates:
            progress = update.status.progress
            if first is not None and progress is not None:
                stages.append(progress.stage)
            elif progress is not None and progress.stage in ("plate", "solve"):
                first = server.worker()
                first.kill()  # SIGKILL
    assert first is not None
    status = shaken.wait()
    assert status.attempt == 2
    assert not {"read", "find"} & set(stages)
    folders = [job.download(tmp_path / name) for job, name in ((calm, "a"), (shaken, "b"))]
    for name in ("bg", "shadow_01", "fg_01", "comp"):
        for frame in range(16):
            one, two = (pixels(folder, name, frame) for folder in folders)
            assert (one == two).all()
    assert server.unpublished_files() == []


def test_cancel_ends_it_while_a_subject_is_looked_for(
    server: LiveServer, client: Client, tmp_path: Path
) -> None:
    job = client.decompose(write_clip(tmp_path / "footage", disc_clip(frames=30, seed=5).source))
    with job.watch() as updates:
        for update in updates:
            if update.status.progress is not None and update.status.progress.stage == "find":
                job.cancel()
                break
    with pytest.raises(JobCancelled):
        job.wait()
    assert server.unpublished_files() == []
