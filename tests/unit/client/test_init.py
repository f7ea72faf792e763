"""Names of the package that are deprecated."""

from __future__ import annotations

import pytest

import layert2v_client


@pytest.mark.parametrize(
    ("old", "new"),
    [("JobProblem", "ErrorInfo"), ("Stopped", "Cancelled"), ("Terms", "TransferOptions")],
)
def test_deprecated_names_warn_and_work(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=new):
        assert getattr(layert2v_client, old) is getattr(layert2v_client, new)
    with pytest.raises(AttributeError, match="Nothing"):
        _ = layert2v_client.Nothing
