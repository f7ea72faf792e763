"""Streams, their order, and the prompts each attends to."""

from __future__ import annotations

import pytest

from layert2v_engine.layout import Stream, StreamLayout, StreamRole


def test_streams_run_from_composite_over_background_to_the_foregrounds() -> None:
    assert StreamLayout.for_foregrounds(2).names == (
        "composite",
        "background",
        "foreground_01",
        "matte_01",
        "shadow_01",
        "foreground_02",
        "matte_02",
        "shadow_02",
    )


def test_a_scene_may_do_without_shadows_or_foregrounds() -> None:
    assert StreamLayout.for_foregrounds(1, shadows=False).names[2:] == ("foreground_01", "matte_01")
    assert StreamLayout.for_foregrounds(0).names == ("composite", "background")


def test_each_stream_attends_to_the_global_prompt_and_its_own() -> None:
    layout = StreamLayout.for_foregrounds(2, shadows=False)
    assert layout.prompts == ("global", "foreground_01", "foreground_02", "background")
    assert layout.attended_prompts == ((0, 1, 2, 3), (0, 3), (0, 1), (0, 1), (0, 2), (0, 2))


def test_rows_follow_the_checkpoint_and_fall_back_to_the_role() -> None:
    layout = StreamLayout.for_foregrounds(2, shadows=False)
    names = ("background", "composite", "matte", "foreground", "foreground_02")
    assert layout.modulation_rows(names) == (1, 0, 3, 2, 4, 2)


def test_a_role_the_checkpoint_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="shadow"):
        StreamLayout.for_foregrounds(1).modulation_rows(
            ("composite", "background", "foreground", "matte")
        )


def test_index_finds_a_stream_by_name() -> None:
    assert StreamLayout.for_foregrounds(1).index("matte_01") == 3


@pytest.mark.parametrize(("role", "foreground"), [("matte", None), ("composite", 1), ("shadow", 0)])
def test_a_stream_without_a_place_is_refused(role: str, foreground: int | None) -> None:
    with pytest.raises(ValueError, match=r"foreground"):
        Stream(role=StreamRole(role), foreground=foreground)


def test_a_layout_holds_each_stream_once() -> None:
    twice = (Stream(role=StreamRole.composite),) * 2
    with pytest.raises(ValueError, match="different streams"):
        StreamLayout(twice)
