"""A request of the add-on: its record in a .blend, and the shots of footage with cuts."""

from __future__ import annotations

import json
from typing import Any

from layert2v.decompose import CUT_INSIDE, DecomposeSpec, decompose_from_json, decompose_to_json
from layert2v_blender.job_request import Request
from layert2v_client.session import RequestFailed

HINT = "Decompose each shot by itself: frames 1001-1010, 1011-1011, 1012-1020."


def request(**changed: Any) -> Request:
    spec = decompose_to_json(DecomposeSpec(name="walk"))
    files = {"footage": ["/shots/walk.mov"]}
    values: dict[str, Any] = {"kind": "decompose", "title": "walk_001", "folder": "/out/walk_001"}
    return Request(**{**values, "server": "render01", "spec": spec, "inputs": files, **changed})


def failure(reason: str = CUT_INSIDE) -> RequestFailed:
    return RequestFailed("id", "jobs/1", reason, "There is a cut.", HINT)


def test_a_record_is_read_again_and_so_is_one_of_before() -> None:
    one = request(split_at_cuts=True, edit_start=1001, id="a", job="jobs/1")
    assert Request.from_record(one.to_record()) == one
    values = json.loads(one.to_record())
    del values["split_at_cuts"], values["edit_start"]
    before = Request.from_record(json.dumps(values))
    assert before is not None
    assert (before.split_at_cuts, before.edit_start) == (False, None)


def test_footage_with_cuts_becomes_a_request_for_each_shot() -> None:
    edit = request(split_at_cuts=True, scene=3, target="STRIPS")
    edit.end = failure()
    shots, note = edit.shot_requests()
    assert [shot.folder for shot in shots] == ["/out/walk_001/shot_01", "/out/walk_001/shot_02"]
    assert [decompose_from_json(shot.spec).first for shot in shots] == [1001, 1012]
    assert {shot.edit_start for shot in shots} == {1001}
    assert {(shot.scene, shot.target, shot.inputs["footage"][0]) for shot in shots} == {
        (3, "STRIPS", "/shots/walk.mov")
    }
    assert len({edit.id, *(shot.id for shot in shots)}) == 3
    assert note.endswith("shows nothing behind it: 1011.")


def test_nothing_is_split_that_was_not_to_be_or_failed_otherwise() -> None:
    kept, failed = request(), request(split_at_cuts=True)
    kept.end, failed.end = failure(), failure("OUT_OF_MEMORY")
    assert kept.shot_requests() == failed.shot_requests() == ([], "")


def test_the_nearest_is_offered_where_a_subject_is_not_known() -> None:
    sentence = "This model knows no subject in it (Nearest Subject, --nearest)."
    refused, other = (request(kind="generate", spec={"nearest": False}) for _ in range(2))
    refused.end = RequestFailed("id", "jobs/1", "INVALID_SPEC", sentence, "")
    other.end = failure("OUT_OF_MEMORY")
    taken = request(kind="generate", spec={"nearest": True})
    taken.end = refused.end
    offers = [each.may_show_nearest for each in (refused, other, taken, request())]
    assert offers == [True, False, False, False]
