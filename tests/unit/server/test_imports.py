"""Imports: the server process loads no engine and no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRONT = ("layert2v_server.cli", "layert2v_server.serve", "layert2v_server.executors.process")
HEAVY = ("torch", "numpy", "diffusers", "transformers", "layert2v_engine", "layert2v_client", "ray")


@pytest.mark.parametrize("module", FRONT)
def test_the_server_process_imports_no_engine(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(loaded.stdout.split()).isdisjoint(HEAVY)
