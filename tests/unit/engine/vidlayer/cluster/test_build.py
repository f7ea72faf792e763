"""The builder on nodes without processes; tests/chaos has the same on a real cluster."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.fake_ray import FakeRay, RayError, Reply
from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.build import build
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import ClipFormat
from layert2v_engine.vidlayer.cluster import actor
from layert2v_engine.vidlayer.cluster.build import build_on_cluster
from layert2v_engine.vidlayer.cluster.needs import StageNeeds, default_needs
from layert2v_engine.vidlayer.movies import write_h264
from layert2v_engine.vidlayer.plan import BuildPlan
from layert2v_engine.vidlayer.sources import Source, find_sources
from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.thresholds import Thresholds
from layert2v_engine.vidlayer.vision import VisionClient

LENIENT = "[clip.motion_score_global_mean]\nmax = 1.0\n[clip.hash_distance]\nvalue = 0\n"
CLIPS = 6


class QuickStage(PerClipStage):
    """A stage that only notes that it was there."""

    def __init__(self, root: Path, name: str, after: str) -> None:
        super().__init__(root)
        self.name, self.after = name, after

    def work_on(self, state: ClipState) -> dict[str, Any]:
        if (self.root / "full").exists():
            raise EngineError("The disk is full.", "Free some space.", reason="DISK_FULL")
        return {"foregrounds": 1} if self.name == "cut" else {}


@dataclass(frozen=True, kw_only=True)
class QuickPlan(BuildPlan):
    """Real clips, without the networks and movies of the later stages."""

    def make_stage(self, name: str, client: VisionClient | None = None) -> PerClipStage:
        after = {"cut": "annotate", "inspect": "cut", "write": "inspect"}.get(name)
        return QuickStage(self.root, name, after) if after else super().make_stage(name, client)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    for seed in range(CLIPS):
        pictures = encode(disc_clip(frames=2, seed=seed).source).clip(0, 1) * 255
        write_h264(folder / f"disc_{seed}.mp4", pictures.round().astype(np.uint8), 24)
    (folder / "broken.mp4").write_bytes(b"no movie")
    (folder / "limits.toml").write_text(LENIENT)
    return folder


@pytest.fixture
def sources(footage: Path) -> list[Source]:
    return find_sources([footage], allow_unlicensed=True)


@pytest.fixture
def plan(footage: Path, tmp_path: Path) -> QuickPlan:
    thresholds = Thresholds.load(footage / "limits.toml")
    return QuickPlan(root=tmp_path / "set", thresholds=thresholds, clip_format=ClipFormat(frames=2))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay({"big": (2, 1), "small": (2, 1)})
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", fake.exceptions)
    return fake


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def with_gpu(plan: BuildPlan) -> dict[str, StageNeeds]:
    return {**default_needs(plan), "cut": StageNeeds(gpus=1)}


def is_cut(reply: Reply) -> bool:
    return reply.method == "work" and reply.actor.gpus > 0


def test_a_cluster_builds_what_one_process_builds(
    ray: FakeRay, plan: QuickPlan, sources: list[Source], tmp_path: Path
) -> None:
    shown = []
    alone = replace(plan, root=tmp_path / "alone")
    counts = build(alone, sources, lambda _: None)

    assert build_on_cluster(plan, sources, shown.append) == counts

    assert contents(plan.root) == contents(alone.root)
    assert {"catalogue.jsonl", "catalogue.parquet"} <= set(contents(plan.root))
    assert counts == {"clips": CLIPS + 1, "kept": CLIPS, "quarantine": 1}
    assert [(each.stage, each.done, each.total) for each in shown[-2:]] == [
        ("layers", CLIPS - 1, CLIPS),
        ("layers", CLIPS, CLIPS),
    ]
    assert len(ray.actors) == 4  # a core each, for all stages
    assert all(actor.gone for actor in ray.actors)


def test_a_node_that_is_lost_costs_nothing_and_a_new_one_helps(
    ray: FakeRay, plan: QuickPlan, sources: list[Source], tmp_path: Path
) -> None:
    alone = replace(plan, root=tmp_path / "alone")
    build(alone, sources, lambda _: None)

    def lose(reply: Reply) -> None:
        if is_cut(reply) and "small" not in ray.dead:
            ray.lose_node("small")
        ray.sizes.setdefault("new", (2, 1))

    ray.before = lose
    build_on_cluster(plan, sources, lambda _: None, needs=with_gpu(plan))

    assert contents(plan.root) == contents(alone.root)
    assert any(actor.node == "new" for actor in ray.actors)


def test_stages_on_cpu_and_gpu_work_at_once_and_wait_for_each_other(
    ray: FakeRay, plan: QuickPlan, sources: list[Source]
) -> None:
    at_once, ahead = set(), []

    def look(reply: Reply) -> None:
        at_once.add(frozenset(each.actor.gpus for each in ray.pending() if each.method == "work"))
        annotated = len(list(plan.root.glob("work/disc*/annotate.json")))
        ahead.append(annotated - len(list(plan.root.glob("work/disc*/cut.json"))))

    ray.before, ray.prefer = look, is_cut  # the cut is the last to end
    build_on_cluster(plan, sources, lambda _: None, needs=with_gpu(plan))

    assert frozenset({0.0, 1.0}) in at_once
    cutters = sum(actor.gpus > 0 for actor in ray.actors)
    assert max(ahead) <= 3 * cutters < CLIPS + 1


def test_a_clip_that_ends_its_actors_goes_into_quarantine(
    ray: FakeRay, plan: QuickPlan, sources: list[Source]
) -> None:
    def crash(reply: Reply) -> None:
        if reply.method == "work" and "disc_2" in str(reply.arguments[0].get("clip")):
            raise RayError("the actor died")

    ray.before = crash
    counts = build_on_cluster(plan, sources, lambda _: None)

    assert counts == {"clips": CLIPS + 1, "kept": CLIPS - 1, "quarantine": 2}
    (path,) = plan.root.glob("work/disc_2*/quarantine.json")
    assert json.loads(path.read_text())["reason"] == "WORKER_CRASHED"
    assert json.loads(path.read_text())["stage"] == "annotate"


def test_what_is_no_clips_fault_ends_the_build_and_keeps_the_rest(
    ray: FakeRay, plan: QuickPlan, sources: list[Source]
) -> None:
    def fill(reply: Reply) -> None:
        if len(list(plan.root.glob("work/disc*/write.json"))) == 2:
            (plan.root / "full").touch()

    ray.before = fill
    with pytest.raises(EngineError, match="The disk is full") as caught:
        build_on_cluster(plan, sources, lambda _: None)
    (plan.root / "full").unlink()
    ray.before = lambda reply: None

    assert caught.value.reason == "DISK_FULL"
    assert build_on_cluster(plan, sources, lambda _: None)["kept"] == CLIPS


def test_a_cluster_without_room_is_refused(
    ray: FakeRay, plan: QuickPlan, sources: list[Source]
) -> None:
    needs = {**default_needs(plan), "cut": StageNeeds(gpus=2)}
    with pytest.raises(EngineError, match=r"room for the stages cut, which need 1 CPUs and 2 GPU"):
        build_on_cluster(plan, sources, lambda _: None, needs=needs)


def test_nodes_that_cannot_run_the_stages_are_refused(
    ray: FakeRay, plan: QuickPlan, sources: list[Source]
) -> None:
    def fail(reply: Reply) -> None:
        raise RayError("The actor died.\nNo module named 'layert2v_engine'")

    ray.before = fail
    with pytest.raises(EngineError, match="end while they load: No module named") as caught:
        build_on_cluster(plan, sources, lambda _: None)
    assert "on all nodes" in caught.value.hint


def test_nodes_with_another_version_are_refused(
    ray: FakeRay, plan: QuickPlan, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    class OtherActor(actor.StageActor):
        def load(self, token: str, folder: str) -> actor.Answer:
            return {**super().load(token, folder), "version": "9.9"}

    monkeypatch.setattr("layert2v_engine.vidlayer.cluster.pool.StageActor", OtherActor)
    with pytest.raises(EngineError, match=r"has LayerT2V 9\.9, this machine"):
        build_on_cluster(plan, sources, lambda _: None)


def test_files_of_another_node_that_stay_away_end_the_build(
    ray: FakeRay, plan: QuickPlan, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "SEEN_TIMEOUT_S", 0.0)

    def hide(reply: Reply) -> None:
        for path in plan.root.glob("work/disc_3*/cut.json"):
            path.unlink()

    ray.before = hide
    with pytest.raises(EngineError, match="does not see what another one wrote of disc_3"):
        build_on_cluster(plan, sources, lambda _: None, needs=with_gpu(plan))


def test_nodes_that_do_not_see_the_data_set_are_refused(
    ray: FakeRay, plan: QuickPlan, sources: list[Source]
) -> None:
    ray.before = lambda reply: (plan.root / ".workers").write_text("of another folder")
    with pytest.raises(EngineError, match="does not see"):
        build_on_cluster(plan, sources, lambda _: None)
