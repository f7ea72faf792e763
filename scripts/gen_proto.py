"""Write the Python stubs beside the .proto files, or say whether the committed ones are up to date.

Needs grpcio-tools 1.62.3, whose stubs load on protobuf 3.20 up to the newest, in an environment
of its own; ``--venv DIR`` makes one there first. ``--check`` writes nothing and exits with 1 where
a committed stub differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
TOOLS = ("grpcio-tools==1.62.3", "setuptools==79.0.1")  # 1.62 still imports pkg_resources


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-proto")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    python = tools_python(options.venv)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        generate(python, out)
        made = {path.relative_to(out): path.read_bytes() for path in out.rglob("*_pb2*")}
        made = {path: data for path, data in made.items() if not is_empty_service(path, data)}
    stale = [path for path, data in sorted(made.items()) if current(PROTO / path) != data]
    for path in stale:
        if not options.check:
            (PROTO / path).write_bytes(made[path])
        sys.stdout.write(f"{'differs' if options.check else 'wrote'} proto/{path.as_posix()}\n")
    return 1 if stale and options.check else 0


def tools_python(folder: Path) -> Path:
    """The interpreter of the environment with the generator, made where it is missing."""
    python = folder / "bin" / "python"
    probe = [python, "-c", "import grpc_tools.protoc"]
    if not python.exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    return python


def generate(python: Path, out: Path) -> None:
    """Run protoc on every .proto file of the contract."""
    sources = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    outputs = [f"--{kind}={out}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    command = [python, "-W", "ignore", "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *sources]
    subprocess.run(command, check=True)


def is_empty_service(path: Path, data: bytes) -> bool:
    """Whether this is the service file of a .proto file without services."""
    return path.name.endswith("_pb2_grpc.py") and b"class " not in data


def current(path: Path) -> bytes | None:
    """The committed bytes, or None."""
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
