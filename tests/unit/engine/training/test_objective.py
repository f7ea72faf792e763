from __future__ import annotations

import pytest
import torch

from layert2v_engine.errors import BadConfig
from layert2v_engine.layout import StreamLayout
from layert2v_engine.training.objective import (
    ObjectiveConfig,
    StreamTimes,
    clean_subsets,
    consistency_loss,
    coverage_weights,
    flow_loss,
    sample_times,
)

LAYOUT = StreamLayout.for_foregrounds(1)


def sample(count: int, **settings: float) -> StreamTimes:
    return sample_times(
        count, LAYOUT, ObjectiveConfig(**settings), torch.Generator().manual_seed(0)
    )


def test_about_half_of_the_samples_have_a_clean_subset() -> None:
    times, _, active = sample(400)
    mixed = (active == 0).any(1)
    assert 0.4 < mixed.float().mean() < 0.6
    shared = times[~mixed]
    assert torch.equal(shared, shared[:, :1].expand_as(shared))


def test_nearly_clean_streams_are_shown_as_clean() -> None:
    """A re-render shows plates at time 0, also those that were encoded again."""
    times, levels, active = sample(400)
    frozen = active == 0
    assert times[frozen].max() == 0
    assert {round(level, 3) for level in levels[frozen].tolist()} == {0.0, 0.03}
    assert torch.equal(times[~frozen], levels[~frozen])


def test_the_composite_alone_is_given_as_often_as_configured() -> None:
    composite = torch.zeros(len(LAYOUT), dtype=torch.bool)
    composite[LAYOUT.index("composite")] = True

    def share(**settings: float) -> float:
        frozen = sample(2000, clean_share=0.5, **settings).active == 0
        return float((frozen == composite).all(1).float().mean())

    assert share() == pytest.approx(0.15, abs=0.03)
    assert share(decompose_share=0.0) == 0


def test_losses_of_parts_of_a_batch_add_up() -> None:
    rng = torch.Generator().manual_seed(1)
    error, coverage = torch.randn(4, 5, 2, 1, 4, 4, generator=rng), torch.rand(4, 2, 1, 4, 4)
    coverage[..., :2], coverage[..., 2:3] = 0, 1
    active = torch.tensor([[1.0] * 5, [0.0, *[1.0] * 4], [1.0] * 5, [1.0, 0.0, 1.0, 1.0, 0.0]])
    weights = coverage_weights(LAYOUT, coverage, ObjectiveConfig())
    parts = [slice(k, None, 2) for k in range(2)]
    flow = [flow_loss(error[part], weights, active, part) for part in parts]
    torch.testing.assert_close(sum(flow), flow_loss(error, weights, active))
    others = LAYOUT, coverage, torch.ones(5, 2), active
    seams = [consistency_loss(error[part], *others, part) for part in parts]
    assert float(sum(seams)) > 0
    torch.testing.assert_close(sum(seams), consistency_loss(error, *others))


def test_every_clean_subset_leaves_something_to_draw() -> None:
    for layout in (
        LAYOUT,
        StreamLayout.for_foregrounds(0),
        StreamLayout.for_foregrounds(2),
        StreamLayout.for_foregrounds(1, shadows=False),
    ):
        subsets = clean_subsets(layout)
        assert all(0 < len(subset) < len(layout) for subset in subsets)
        assert [layout.index("background")] in subsets


def test_clean_streams_carry_no_loss() -> None:
    error = torch.zeros(1, 5, 2, 1, 4, 4)
    error[:, 1] = 100.0
    weights = coverage_weights(LAYOUT, torch.ones(1, 2, 1, 4, 4), ObjectiveConfig())
    active = torch.tensor([[1.0, 0.0, 1.0, 1.0, 1.0]])
    assert flow_loss(error, weights, active) == 0


def test_weights_average_one_and_rise_with_coverage() -> None:
    coverage = torch.zeros(2, 2, 1, 4, 4)
    coverage[..., :2] = 1
    weights = coverage_weights(LAYOUT, coverage, ObjectiveConfig())
    torch.testing.assert_close(weights.mean(dim=(0, 2, 3, 4, 5)), torch.ones(5))
    foreground = weights[:, LAYOUT.index("foreground_01"), 0, 0]
    assert (foreground[..., :2] > 5 * foreground[..., 2:]).all()


def test_each_layer_is_weighted_by_its_own_coverage() -> None:
    layout = StreamLayout.for_foregrounds(2)
    coverage = torch.zeros(1, 4, 1, 2, 4)
    for part in range(4):  # matte_01, shadow_01, matte_02, shadow_02: a column each
        coverage[:, part, ..., part] = 1
    weights = coverage_weights(layout, coverage, ObjectiveConfig())[0, :, 0, 0, 0]
    heaviest = [weights[layout.index(name)].argmax().item() for name in layout.names[2:]]
    assert heaviest == [0, 0, 1, 2, 2, 3]
    composite = weights[layout.index("composite")]
    assert composite[0] == composite[2] > composite[1] == composite[3]


def test_a_scene_without_foregrounds_is_weighted_evenly() -> None:
    empty = StreamLayout.for_foregrounds(0)
    weights = coverage_weights(empty, torch.zeros(2, 0, 3, 4, 4), ObjectiveConfig())
    assert torch.equal(weights, torch.ones(2, 2, 1, 3, 4, 4))


def test_with_two_foregrounds_all_but_one_layer_can_be_frozen() -> None:
    layout = StreamLayout.for_foregrounds(2)
    subsets = {tuple(sorted(layout.names[s] for s in x)) for x in clean_subsets(layout)}
    second = ("background", "foreground_01", "matte_01", "shadow_01")
    assert second in subsets
    assert tuple(sorted(layout.names[2:])) in subsets


def columns_of(layout: StreamLayout, **mattes: tuple[float, ...]) -> torch.Tensor:
    """Coverage of one row of tokens, a number for each."""
    width = len(next(iter(mattes.values())))
    coverage = torch.zeros(1, 2 * layout.foregrounds, 1, 1, width)
    for name, row in mattes.items():
        coverage[0, 2 * (int(name[-2:]) - 1), 0, 0] = torch.tensor(row)
    return coverage


def inconsistency(
    layout: StreamLayout, coverage: torch.Tensor, wrong: dict[str, torch.Tensor], *frozen: str
) -> float:
    """Return the loss of streams with these errors, one for each token, and deviations of one."""
    error = torch.zeros(1, len(layout), 3, 1, 1, coverage.shape[-1])
    for name, row in wrong.items():
        error[0, layout.index(name), :, 0, 0] = row
    active = torch.ones(1, len(layout))
    active[0, [layout.index(name) for name in frozen]] = 0
    return float(consistency_loss(error, layout, coverage, torch.ones(len(layout), 3), active))


def test_an_error_that_layer_and_composite_share_costs_nothing() -> None:
    coverage = columns_of(LAYOUT, matte_01=(0.0, 1.0, 0.5))
    apart = torch.tensor([1.0, 2.0, 4.0])
    behind, before = apart * torch.tensor([1.0, 9.0, 9.0]), apart * torch.tensor([9.0, 1.0, 9.0])
    same = {"composite": apart, "background": behind, "foreground_01": before}
    assert inconsistency(LAYOUT, coverage, same) == 0
    assert inconsistency(LAYOUT, coverage, same | {"background": behind + 1}) == 0.5
    assert inconsistency(LAYOUT, coverage, same | {"foreground_01": before + 1}) == 0.5
    edge = torch.tensor([0.0, 0.0, 1.0])
    assert inconsistency(LAYOUT, coverage, same | {"composite": apart + edge}) == 0


def test_a_frozen_layer_is_what_the_composite_is_measured_by() -> None:
    coverage = columns_of(LAYOUT, matte_01=(0.0, 0.0))
    wrong = {"composite": torch.ones(2), "background": torch.full((2,), 5.0)}
    assert inconsistency(LAYOUT, coverage, wrong) == 16
    assert inconsistency(LAYOUT, coverage, wrong, "background") == 1
    assert inconsistency(LAYOUT, coverage, wrong, "composite", "background") == 0


def test_of_two_foregrounds_the_upper_one_is_seen() -> None:
    layout = StreamLayout.for_foregrounds(2)
    coverage = columns_of(layout, matte_01=(1.0, 1.0), matte_02=(0.0, 1.0))
    assert inconsistency(layout, coverage, {"foreground_01": torch.tensor([0.0, 1.0])}) == 0
    assert inconsistency(layout, coverage, {"foreground_02": torch.tensor([1.0, 0.0])}) == 0
    assert inconsistency(layout, coverage, {"foreground_01": torch.tensor([2.0, 0.0])}) == 2
    assert inconsistency(layout, coverage, {"foreground_02": torch.tensor([0.0, 2.0])}) == 2


def test_consistency_is_measured_in_latents_before_normalization() -> None:
    coverage = columns_of(LAYOUT, matte_01=(0.0,))
    deviations = torch.ones(5, 3)
    deviations[LAYOUT.index("background")] = 3.0
    error = torch.zeros(1, 5, 3, 1, 1, 1)
    error[:, LAYOUT.index("composite")], error[:, LAYOUT.index("background")] = 3.0, 1.0
    loss = consistency_loss(error, LAYOUT, coverage, deviations, torch.ones(1, 5))
    assert float(loss) < 1e-10
    empty = StreamLayout.for_foregrounds(0)
    twice = torch.ones(1, 2, 3, 1, 1, 1)
    alone = consistency_loss(
        twice, empty, torch.zeros(1, 0, 1, 1, 1), deviations[:2], torch.ones(1, 2)
    )
    assert float(alone) > 0


def test_streams_weigh_as_configured_by_role() -> None:
    coverage = torch.rand(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    config = ObjectiveConfig(stream_weights={"matte": 2.0, "shadow": 0.0})
    weights = coverage_weights(LAYOUT, coverage, config)
    torch.testing.assert_close(
        weights.mean(dim=(0, 2, 3, 4, 5)), torch.tensor([1.0, 1.0, 1.0, 2.0, 0.0])
    )
    plain = coverage_weights(LAYOUT, coverage, ObjectiveConfig())
    torch.testing.assert_close(weights[:, 3], 2 * plain[:, 3])


def test_a_weight_for_no_role_is_refused() -> None:
    with pytest.raises(BadConfig, match="mattes"):
        ObjectiveConfig(stream_weights={"mattes": 2.0})
