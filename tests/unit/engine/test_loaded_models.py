"""Which models stay in memory."""

from __future__ import annotations

from layert2v_engine.loaded_models import HEADROOM, LoadedModels

MEMORY, SIZE = 1000, 300


def device_with_models(*names: str) -> LoadedModels[str]:
    """Return models of equal size on a device that has room for three."""
    models: LoadedModels[str] = LoadedModels(lambda: free_bytes(models))
    for name in names:
        models.add(name, name)
    return models


def free_bytes(models: LoadedModels[str]) -> int:
    return MEMORY - SIZE * sum(models.find(name) is not None for name in "abc")


def names_of(models: LoadedModels[str]) -> str:
    return "".join(name for name in "abc" if models.find(name))


def test_models_stay_while_there_is_room() -> None:
    models = device_with_models("a", "b")
    models.make_room(int(400 / HEADROOM))
    assert names_of(models) == "ab"


def test_the_model_used_longest_ago_goes_first() -> None:
    models = device_with_models("a", "b", "c")
    models.add("a", "a")  # used again
    models.make_room(int(400 / HEADROOM))
    assert names_of(models) == "ac"


def test_the_model_that_is_about_to_run_stays() -> None:
    models = device_with_models("a", "b", "c")
    models.make_room(10_000, spare="a")
    assert names_of(models) == "a"


def test_those_used_last_can_be_kept() -> None:
    models = device_with_models("a", "b", "c")
    models.keep(1)
    assert names_of(models) == "c"
    models.remove("c")
    models.remove("c")
    models.keep(0)
    assert names_of(models) == ""
