from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layert2v_engine.decompose.networks.nanodet import NanoDet
from layert2v_engine.decompose.networks.u2netp import U2NetP
from layert2v_engine.errors import BadCheckpoint


@pytest.mark.parametrize("network", [NanoDet, U2NetP])
def test_a_file_that_is_no_network_is_refused(network: type, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no network")

    for name in ("missing.onnx", "broken.onnx"):
        with pytest.raises(BadCheckpoint, match="Install layert2v again"):
            network(tmp_path / name)


def test_nothing_is_seen_on_a_gray_card() -> None:
    assert NanoDet().detect(np.full((90, 160, 3), 128, np.uint8)) == []
