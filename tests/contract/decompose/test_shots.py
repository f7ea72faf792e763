from __future__ import annotations

from layert2v.decompose import (
    Box,
    DecomposeSpec,
    Point,
    Shot,
    SubjectSpec,
    shots_from_text,
    shots_to_text,
    split_at_cuts,
)

SHOTS = (Shot(1001, 1007), Shot(1008, 1008), Shot(1009, 1020))


def test_shots_in_a_sentence_are_read_again() -> None:
    sentence = f"Decompose each shot by itself: frames {shots_to_text(SHOTS)}."
    assert shots_from_text(sentence) == SHOTS
    assert shots_from_text("There are none.") == ()


def test_each_shot_is_a_request_with_its_own_hints() -> None:
    box, point = Box(1003, 1, 2, 3, 4), Point(1012, 5, 6)
    spec = DecomposeSpec((SubjectSpec("the dog", (box,), (point,)),), handles=8, name="walk")

    (first, second), note = split_at_cuts(spec, SHOTS)

    assert (first.first, first.last, first.handles, first.name) == (1001, 1007, 0, "walk_shot_01")
    assert (second.first, second.last, second.name) == (1009, 1020, "walk_shot_02")
    assert first.subjects == (SubjectSpec("the dog", boxes=(box,)),)
    assert second.subjects == (SubjectSpec("the dog", points=(point,)),)
    assert note.endswith("shows nothing behind it: 1008.")


def test_a_shot_of_handles_alone_is_left_out() -> None:
    spec = DecomposeSpec(first=1010, last=1015, handles=5)

    (only,), note = split_at_cuts(spec, (Shot(1005, 1008), Shot(1009, 1020)))

    assert (only.first, only.last, note) == (1009, 1020, "")
