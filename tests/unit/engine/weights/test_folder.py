from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from layert2v_engine.errors import BadConfig, WeightsMissing
from layert2v_engine.weights.folder import WeightsFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of weights that has one network, whole."""
    folder = tmp_path / "wan2.1-vae"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"a": torch.zeros(64)}, folder / "model.safetensors")
    return tmp_path


def problem(root: Path) -> str:
    with pytest.raises(WeightsMissing) as caught:
        WeightsFolder(root).require("wan2.1-vae")
    assert "Nothing is downloaded" in caught.value.hint
    return caught.value.message


def test_a_whole_network_is_found_with_its_hash(root: Path) -> None:
    folder = WeightsFolder(root)
    assert folder.require("wan2.1-vae") == root / "wan2.1-vae"
    record = folder.record("wan2.1-vae")
    assert (record.licence, record.commercial, len(record.sha256)) == ("Apache-2.0", "yes", 64)
    assert WeightsFolder(root).record("wan2.1-vae") == record  # from the kept hashes
    save_file({"a": torch.ones(64)}, root / "wan2.1-vae" / "model.safetensors")
    assert WeightsFolder(root).record("wan2.1-vae").sha256 != record.sha256


def test_one_file_has_its_own_hash(tmp_path: Path) -> None:
    (tmp_path / "rose").mkdir()
    path = tmp_path / "rose" / "rose.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert WeightsFolder(tmp_path).record("rose").sha256 == expected


def test_a_second_folder_is_looked_into(root: Path) -> None:
    target = root / "wan2.1-vace-1.3b" / "vae"
    target.parent.mkdir()
    (root / "wan2.1-vae").rename(target)
    assert WeightsFolder(root).require("wan2.1-vae") == target


def test_the_first_folder_that_is_whole_is_taken(root: Path) -> None:
    (root / "wan2.1-vace-1.3b").mkdir()
    (root / "wan2.1-vae").rename(root / "kept")
    (root / "wan2.1-vae").mkdir()
    (root / "wan2.1-vae" / "config.json").write_text("{}")
    assert "wan2.1-vae has no *.safetensors" in problem(root)
    (root / "kept").rename(root / "wan2.1-vace-1.3b" / "vae")
    assert WeightsFolder(root).require("wan2.1-vae") == root / "wan2.1-vace-1.3b" / "vae"


def test_a_missing_folder_is_said_with_where_its_owner_publishes_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"There is no folder .*sam2.1") as caught:
        WeightsFolder(tmp_path / "nowhere").require("sam2.1")
    assert "facebook/sam2.1-hiera-large" in caught.value.hint


@pytest.mark.parametrize("kept", [6, 40, 200])
def test_half_a_file_is_said(root: Path, kept: int) -> None:
    path = root / "wan2.1-vae" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert "not whole" in problem(root) or "half a download" in problem(root)


def test_an_unfinished_or_missing_part_is_said(root: Path) -> None:
    folder = root / "wan2.1-vae"
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-2.safetensors is missing, so it is half a download" in problem(root)
    (folder / "model-2.safetensors.incomplete").touch()
    assert "model-2.safetensors.incomplete is half a download" in problem(root)


def test_a_wrong_folder_and_unsafe_formats_are_said(root: Path) -> None:
    path = root / "wan2.1-vae" / "model.safetensors"
    path.write_bytes(b"PK\3\4" + bytes(400))
    assert "not a safetensors file" in problem(root)
    path.rename(path.with_suffix(".pth"))
    assert "a format that can run code" in problem(root)
    (root / "wan2.1-vae" / "config.json").unlink()
    assert "has no config.json" in problem(root)


def test_a_name_that_is_not_in_the_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="has no network 'sam9'"):
        WeightsFolder(tmp_path).state("sam9")


def test_a_folder_that_may_not_be_read_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "cannot be read: Permission denied" in problem(root)
