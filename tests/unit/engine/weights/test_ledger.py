from __future__ import annotations

import re
from pathlib import Path

import pytest

from layert2v_engine.errors import BadConfig, LicenceRefused
from layert2v_engine.weights.folder import WeightsFolder
from layert2v_engine.weights.ledger import (
    Ledger,
    default_ledger,
    require_commercial_use,
    unknown_network,
    with_own_terms,
)

THIRD_PARTY = Path(__file__).parents[4] / "THIRD_PARTY.md"


def test_every_network_has_words_and_a_place() -> None:
    for network in default_ledger():
        assert network.licence
        assert network.terms.endswith(".")
        assert network.is_included or (network.folders and network.files), network.name
        assert "://" not in network.origin


def test_every_network_is_in_the_list_of_third_party_assets() -> None:
    listed = THIRD_PARTY.read_text()
    for network in default_ledger():
        row = re.search(rf"^\| `{re.escape(network.name)}` .*$", listed, re.MULTILINE)
        assert row, network.name
        assert f"| {network.licence} | {network.commercial} |" in row[0]
        assert network.sha256 in listed


def test_what_ships_is_whole_and_has_the_hash_that_is_known() -> None:
    folder = WeightsFolder()
    for network in default_ledger():
        if network.is_included:
            state = folder.state(network.name)
            assert state.is_usable, state.problem
            assert network.sha256 in ("", folder.sha256(state))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[network]]\nname = 'x'", "lacks 'title'"),
        ("[[network]", "cannot be read"),
    ],
)
def test_a_wrong_ledger_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(text)
    with pytest.raises(BadConfig, match=words):
        Ledger.read(path)


def test_terms_beside_the_weights_replace_those_of_the_ledger(tmp_path: Path) -> None:
    rose = default_ledger().find("rose")
    assert with_own_terms(rose, tmp_path) == rose
    own = tmp_path / "licence.toml"
    own.write_text('licence = "our agreement of May"\ncommercial = "yes"\n')
    agreed = with_own_terms(rose, tmp_path)
    assert (agreed.licence, agreed.commercial) == ("our agreement of May", "yes")
    own.write_text('commercial = "perhaps"\n')
    with pytest.raises(BadConfig, match="one of yes, no, ask"):
        with_own_terms(rose, tmp_path)
    own.write_text('name = "other"\n')
    with pytest.raises(BadConfig, match="knows no 'name'"):
        with_own_terms(rose, tmp_path)


def test_commercial_use_must_be_allowed_by_all() -> None:
    sam, rose = (default_ledger().find(name).record() for name in ("sam2.1", "rose"))
    require_commercial_use([sam])
    with pytest.raises(LicenceRefused, match=r"rose \(Apache-2.0\) is not used here"):
        require_commercial_use([sam, rose])
    with pytest.raises(LicenceRefused, match="not stated"):
        require_commercial_use([unknown_network("ours").record()])
