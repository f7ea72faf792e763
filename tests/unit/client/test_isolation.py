"""The client lives inside hosts: it must not need, or even touch, what they lack or have twice."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("torch", "numpy", "ray", "sqlalchemy", "layert2v_server", "layert2v_engine")


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_client_imports_where_heavy_packages_cannot() -> None:
    run(
        f"import sys\nfor name in {FORBIDDEN}: sys.modules[name] = None\n"
        "import layert2v_client, layert2v_client.cli.main"
    )


def test_spec_and_stack_need_only_the_standard_library() -> None:
    run(
        "import sys\nfor name in ('grpc', 'google', 'google.protobuf'): sys.modules[name] = None\n"
        "import layert2v.spec, layert2v.stack"
    )
