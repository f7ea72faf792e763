from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.cluster.needs import (
    NodeSize,
    StageGroup,
    StageNeeds,
    group_stages,
    plan_actors,
    read_needs,
)

CORE, GPU = StageNeeds(), StageNeeds(gpus=1)
DEFAULTS = {"clip": CORE, "annotate": CORE, "cut": GPU, "inspect": CORE, "write": CORE}


def test_neighbors_that_need_the_same_share_an_actor() -> None:
    groups = group_stages(tuple(DEFAULTS), DEFAULTS)
    assert [group.stages for group in groups] == [
        ("clip", "annotate"),
        ("cut",),
        ("inspect", "write"),
    ]


def test_every_group_gets_an_actor_before_any_gets_a_second() -> None:
    groups = [StageGroup(stages=("cut",), needs=GPU), StageGroup(stages=("write",), needs=CORE)]
    assert plan_actors(groups, [NodeSize(cpus=2, gpus=2)]) == [1, 1]
    assert plan_actors(groups, [NodeSize(cpus=4, gpus=1), NodeSize(cpus=2, gpus=0)]) == [1, 5]
    assert plan_actors(groups, [NodeSize(cpus=8, gpus=0)]) == [0, 8]
    few = StageGroup(stages=("cut",), needs=StageNeeds(most=3))
    assert plan_actors([few], [NodeSize(cpus=8, gpus=0)]) == [3]


def test_needs_are_read_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "needs.toml"
    path.write_text("[cut]\ncpus = 4\nmost = 2\n")
    needs = read_needs(path, DEFAULTS)
    assert needs["cut"] == StageNeeds(cpus=4, gpus=1, most=2)
    assert needs["write"] == CORE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cat]\n", "there is no stage 'cat'"),
        ("[cut]\nram = 1\n", "something else than"),
        ("cut = 3\n", "something else than"),
        ("[cut]\ncpus = 0\n", "cpus of [cut] is 0"),
        ("[cut]\ngpus = -1\n", "gpus of [cut] is -1"),
        ("[cut]\ncpus = nan\n", "cpus of [cut] is nan"),
        ("[cut]\nmost = 1.5\n", "most of [cut] is no number"),
        ("[cut\n", "cannot be used"),
    ],
)
def test_other_needs_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "needs.toml"
    path.write_text(text)
    with pytest.raises(EngineError) as caught:
        read_needs(path, DEFAULTS)
    assert said in caught.value.message
    assert caught.value.hint
