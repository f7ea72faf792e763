"""A data set that is built on a cluster, one node of which is killed in mid-work."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from fakes.ray_cluster import add_node
from layert2v_engine.cli.main import main
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.vidlayer.movies import write_h264

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(900),  # a cluster, networks in each of its processes, a loss
    pytest.mark.filterwarnings("default"),  # Ray's own
]

CLIPS, FRAMES = 2, 2
LENIENT = """[clip.motion_score_global_mean]
max = 1.0
[clip.hash_distance]
value = 0
"""


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    folder = tmp_path / "footage"
    folder.mkdir()
    for seed in range(CLIPS):
        pictures = encode(disc_clip(frames=FRAMES, seed=seed).source).clip(0, 1) * 255
        write_h264(folder / f"disc_{seed}.mp4", pictures.round().astype(np.uint8), 24)
    (folder / "broken.mp4").write_bytes(b"no movie")
    (tmp_path / "lenient.toml").write_text(LENIENT)
    return folder


def arguments(footage: Path, root: Path) -> list[str]:
    args = ["vidlayer", "build", str(footage), "--out", str(root), "--allow-unlicensed"]
    return [*args, "--frames", str(FRAMES), "--thresholds", str(footage.parent / "lenient.toml")]


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_cluster_that_loses_a_node_builds_the_same(
    cluster: Any, footage: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert main(arguments(footage, alone)) == 0
    lost = add_node(cluster, cpus=1, gpus=1)
    killer = threading.Thread(target=kill_when_cut, args=(cluster, lost, together))
    killer.start()

    assert main([*arguments(footage, together), "--ray", cluster.address]) == 0

    killer.join()
    assert not lost.any_processes_alive()
    assert contents(together) == contents(alone)
    assert {"catalogue.jsonl", "catalogue.parquet"} <= set(contents(alone))
    records = [json.loads(each) for each in (alone / "catalogue.jsonl").read_text().splitlines()]
    assert sum(not each["quarantine"] for each in records) == CLIPS
    assert f"layers: {CLIPS} of {CLIPS}" in capfd.readouterr().err


def kill_when_cut(cluster: Any, lost: Any, root: Path) -> None:
    """Kill a node as soon as a first clip has been cut."""
    while not list(root.glob("work/*/cut.json")):
        time.sleep(0.05)
    cluster.remove_node(lost, allow_graceful=False)
