"""A new state of a stack: versions, history, and what a failed one leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.layer_files import fingerprints, frames
from fakes.sample_stacks import HEIGHT, WIDTH, disc, gradient, write_stack
from layert2v.stack import Role, Stack, read, read_state
from layert2v_engine.errors import StackError
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.manifest import Provenance


def change(folder: Path, layer: str = "bg", at: int = 0) -> Stack:
    """Return a new version of one layer."""
    with StackEditor(folder, at=at) as editor:
        for each in editor.base.layers:
            if each.name != layer:
                editor.keep_layer(each.name)
                continue
            editor.add_layer(layer, each.role, prompt="new", caster=each.caster)
        editor.latents_path(layer).parent.mkdir(exist_ok=True)
        editor.latents_path(layer).write_bytes(b"latents")
        for index in range(editor.format.frames):
            editor.write_frame(layer, index, 1 - gradient(), disc())
        return editor.finish(Provenance(action="change", note="for a test"))


def test_a_state_shares_what_it_keeps_and_names_what_it_made(tmp_path: Path) -> None:
    first = write_stack(tmp_path / "s")
    before = fingerprints(tmp_path / "s")
    second = change(tmp_path / "s")
    assert read(tmp_path / "s") == second
    assert second.layer("fg_01") == first.layer("fg_01")
    assert second.flat("ref") == first.flat("ref")
    result = second.history[-1]
    assert (result.action, result.versions, result.parent) == ("change", {"bg": 2, "comp": 2}, 1)
    assert [file.path for file in second.latents] == ["latents/bg_v002.safetensors"]
    assert second.previews[0].path == "preview/v002/contact.png"
    after = fingerprints(tmp_path / "s")
    assert {name for name in before if after[name] != before[name]} == {"stack.json"}


def test_unchanged_layers_take_no_more_room(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    change(tmp_path / "s")
    assert not (tmp_path / "s/fg_01/v002").exists()
    assert sorted(path.name for path in (tmp_path / "s").glob("*/v002")) == ["v002"] * 3


def test_versions_go_on_from_the_highest_of_all_states(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    change(tmp_path / "s")
    third = change(tmp_path / "s", at=1)
    assert (third.layer("bg").version, third.flat("comp").version) == (3, 3)
    assert third.history[-1].parent == 1
    assert read_state(tmp_path / "s", 2).layer("bg").version == 2
    assert read_state(tmp_path / "s", 1).layer("bg").version == 1


def test_a_state_with_the_same_layers_keeps_the_comp(tmp_path: Path) -> None:
    first = write_stack(tmp_path / "s")
    with StackEditor(tmp_path / "s") as editor:
        for each in editor.base.layers:
            editor.keep_layer(each.name)
        second = editor.finish(Provenance(action="nothing"))
    assert second.flats == first.flats
    assert second.history[-1].versions == {}


def test_a_ref_may_be_delivered_as_it_is(tmp_path: Path) -> None:
    write_stack(tmp_path / "s", frames=1)
    pixels = torch.rand(HEIGHT, WIDTH, 4).half()
    with StackEditor(tmp_path / "s") as editor:
        for each in editor.base.layers:
            editor.keep_layer(each.name)
        editor.write_ref(0, pixels)
        result = editor.finish()
    assert result.flat("ref").version == 2
    assert np.array_equal(frames(tmp_path / "s", result, "ref")[0], pixels)


def test_leaving_without_finish_leaves_no_trace(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    before = fingerprints(tmp_path / "s")
    with StackEditor(tmp_path / "s") as editor:
        editor.add_layer("bg", Role.background)
        editor.latents_path("bg").parent.mkdir()
        editor.latents_path("bg").write_bytes(b"latents")
        editor.write_frame("bg", 0, gradient())
        editor.write_ref(0, gradient())
    assert fingerprints(tmp_path / "s") == before
    assert not (tmp_path / "s/latents").exists()
    change(tmp_path / "s")  # and the stack is free again


def test_leftovers_of_a_killed_editor_are_cleared(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    for name in ("bg/v002/bg_v002.1009.exr", "comp/v002/comp_v002.1009.exr"):
        (tmp_path / "s" / name).parent.mkdir()
        (tmp_path / "s" / name).write_bytes(b"half a picture")
    result = change(tmp_path / "s")
    on_disk = sorted(path.name for path in (tmp_path / "s/bg/v002").iterdir())
    assert on_disk == [Path(file.path).name for file in result.layer("bg").files]


def test_a_state_that_is_not_there_is_reported(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    with pytest.raises(StackError, match="no state v003") as caught:
        StackEditor(tmp_path / "s", at=3)
    assert caught.value.reason == "STATE_NOT_FOUND"
    with pytest.raises(StackError, match=r"no stack\.json"):
        StackEditor(tmp_path / "nowhere")


def test_a_layer_that_is_kept_is_not_written(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    with StackEditor(tmp_path / "s") as editor:
        editor.keep_layer("bg")
        with pytest.raises(ValueError, match="bg is kept"):
            editor.write_frame("bg", 0, gradient())
