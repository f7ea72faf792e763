"""Stacks as data: names, paths, versions, latents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.example_stack import example_stack, next_state
from layert2v import stack
from layert2v.stack import Role, Stack


@pytest.fixture
def plain() -> Stack:
    return example_stack()


def test_names_and_paths() -> None:
    assert stack.layer_folder("fg_01", 2) == "fg_01/v002"
    assert stack.layer_pattern("bg", 1) == "bg/v001/bg_v001.####.exr"
    assert stack.frame_path("bg/v001/bg_v001.####.exr", 7) == "bg/v001/bg_v001.0007.exr"
    assert stack.frame_path("a.##.exr", 12345) == "a.12345.exr"


def test_lookup_and_all_files(plain: Stack) -> None:
    assert plain.layer("fg_01").role is Role.foreground
    assert plain.flat("ref").version == 1
    assert len(plain.files()) == 5 * 2 + 1 + 1
    assert len(replace(plain, latents=()).files()) == 5 * 2 + 1
    with pytest.raises(KeyError):
        plain.layer("fg_02")


def test_versions_count_on_from_states_that_were_left(plain: Stack) -> None:
    """v002 of bg was made in state 2; state 3 went back to state 1 and shows v001 again."""
    opened = next_state(next_state(plain, "regenerate", 1, bg=2, comp=2), "open", 1)
    assert opened.layer("bg").version == 1
    assert [stack.next_version(opened, name) for name in ("bg", "comp", "fg_01")] == [3, 3, 2]
    assert stack.next_version(opened, "fg_02") == 1


def test_latents_belong_to_a_version_of_a_layer(plain: Stack) -> None:
    assert plain.latents_of("bg") == plain.latents[0]
    assert plain.latents_of("ref") is None
    newer = replace(plain, layers=(replace(plain.layers[0], version=2), *plain.layers[1:]))
    assert newer.latents_of("bg") is None
