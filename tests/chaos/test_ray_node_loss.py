"""A real cluster of two nodes, one of which is killed while it works."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.vidlayer.build import build
from layert2v_engine.vidlayer.clips import ClipFormat
from layert2v_engine.vidlayer.movies import write_h264
from layert2v_engine.vidlayer.plan import BuildPlan
from layert2v_engine.vidlayer.ray_build import build_with_ray
from layert2v_engine.vidlayer.sources import find_sources
from layert2v_engine.vidlayer.thresholds import Thresholds

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # Ray's own
]
CLIPS, FRAMES = 3, 3
LENIENT = "[clip.motion_score_global_mean]\nmax = 1.0\n[clip.hash_distance]\nvalue = 0\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=100 << 20) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False)
    yield cluster, nodes[1]
    ray.shutdown()
    cluster.shutdown()


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_cluster_that_loses_a_node_builds_the_same(cluster: Any, tmp_path: Path) -> None:
    footage, limits = tmp_path / "footage", tmp_path / "lenient.toml"
    footage.mkdir()
    for seed in range(CLIPS):
        pictures = encode(disc_clip(frames=FRAMES, seed=seed).source).clip(0, 1) * 255
        write_h264(footage / f"disc_{seed}.mp4", pictures.round().astype(np.uint8), 24)
    limits.write_text(LENIENT)
    sources = find_sources([footage], allow_unlicensed=True)
    alone, together = (
        BuildPlan(
            root=tmp_path / name,
            thresholds=Thresholds.load(limits),
            clip_format=ClipFormat(frames=FRAMES),
        )
        for name in ("alone", "together")
    )
    build(alone, sources, lambda _: None)
    nodes, lost = cluster
    killer = threading.Thread(target=kill_when, args=(nodes, lost, together.root))
    killer.start()

    counts = build_with_ray(together, sources, lambda _: None)
    killer.join()

    assert counts["clips"] == CLIPS
    assert not lost.all_processes_alive()
    assert contents(together.root) == contents(alone.root)


def kill_when(nodes: Any, lost: Any, root: Path) -> None:
    """Kill a node as soon as a first clip has been cut."""
    while not list(root.glob("work/*/cut.json")):
        time.sleep(0.05)
    nodes.remove_node(lost, allow_graceful=False)
