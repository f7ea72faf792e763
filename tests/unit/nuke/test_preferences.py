"""The file of preferences."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.fake_nuke import FakeNuke
from layert2v_nuke import api, preferences
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.preferences import Preferences


@pytest.mark.parametrize(
    "text",
    [
        *("{", '{"serve": ""}', '{"server": 7}', '{"path_map": [1]}', "[]"),
        *('{"cache_limit_gb": "x"}', '{"nearest_colorspace": 1}'),
    ],
)
def test_preferences_that_are_not_right_are_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(BadRequest) as refused:
        preferences.load(tmp_path / "p.json", {})
    assert "p.json" in refused.value.message


def test_defaults_need_no_file(tmp_path: Path) -> None:
    assert preferences.load(tmp_path / "none.json", {}) == Preferences()


def test_wrong_preferences_do_not_keep_nuke_from_its_menu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "nuke_folder", lambda: tmp_path)
    (tmp_path / "layert2v.json").write_text("{")
    with FakeNuke().as_module() as nuke:
        created = api.plugin_state.__wrapped__()
    assert created.preferences == Preferences()
    assert "layert2v.json cannot be used" in nuke.messages[0]
