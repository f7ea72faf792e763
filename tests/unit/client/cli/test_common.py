from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.example_stack import example_stack
from layert2v import stack as manifests
from layert2v_client.cli.common import print_summary
from layert2v_client.cli.terminal import ProgressLine


@pytest.mark.parametrize(("model", "is_said"), [("mini", True), ("", False)])
def test_a_seed_is_said_where_a_model_had_one(tmp_path: Path, model: str, is_said: bool) -> None:
    manifests.write(replace(example_stack(), model=model), tmp_path)
    out, said = io.StringIO(), io.StringIO()

    print_summary(tmp_path, out, ProgressLine(said))

    assert ("seed 7" in said.getvalue()) is is_said
    assert out.getvalue() == f"{tmp_path}\n"
