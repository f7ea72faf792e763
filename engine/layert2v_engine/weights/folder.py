"""The folder of weights: which networks are there, whole, and what their hashes are.

Looks at names, sizes and headers; loads nothing. Only safetensors and ONNX are weights here, since
other formats can run code.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path

from layert2v.home import data_folder
from layert2v.stack import NetworkRecord
from layert2v_engine.errors import WeightsMissing
from layert2v_engine.weights.ledger import Ledger, Network, default_ledger, with_own_terms

_HASHES = ".hashes.json"  # of files by path, size and time: a set of weights may have 60 GB
_MAX_HEADER_BYTES = 64 << 20
_UNFINISHED = (".incomplete", ".part", ".partial", ".crdownload", ".aria2", ".tmp")
_UNSAFE = (".pth", ".pt", ".bin", ".ckpt", ".pkl")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkState:
    """A network as it is here.

    ``folder`` is None where there is none; ``problem`` is a sentence where it cannot be used, ""
    otherwise.
    """

    network: Network
    folder: Path | None
    files: tuple[Path, ...]
    problem: str

    @property
    def is_usable(self) -> bool:
        """Whether it is here, and whole."""
        return not self.problem

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        return sum(path.stat().st_size for path in self.files)


class WeightsFolder:
    """Networks below ``root``, and those that come with the product. ``root`` need not exist."""

    def __init__(self, root: Path | None = None, ledger: Ledger | None = None) -> None:
        self.root = root if root is not None else data_folder() / "weights"
        self.ledger = ledger or default_ledger()

    def states(self) -> Iterator[NetworkState]:
        """Yield every network of the ledger, in its order."""
        for network in self.ledger:
            yield self.state(network.name)

    def state(self, name: str) -> NetworkState:
        """Return whether a network is here. Raises ``BadConfig`` for one that is not known."""
        network = self.ledger.find(name)
        if network.is_included:
            return _included_state(network)
        try:
            return self._find(network)
        except OSError as error:
            problem = f"{error.filename} cannot be read: {error.strerror}."
            return NetworkState(network=network, folder=None, files=(), problem=problem)

    def _find(self, network: Network) -> NetworkState:
        """Return the first of a network's folders that can be used, else what keeps the first."""
        places = [self.root / each for each in network.folders if self._has(each)]
        states = []
        for place in places:
            known = with_own_terms(network, place)
            files, problem = _check_files(known, place)
            states.append(NetworkState(network=known, folder=place, files=files, problem=problem))
            if not problem:
                return states[-1]
        if states:
            return states[0]
        problem = f"There is no folder {self.root / network.folders[0]}."
        return NetworkState(network=network, folder=None, files=(), problem=problem)

    def require(self, name: str) -> Path:
        """Return the folder of a network. Raises ``WeightsMissing`` where it cannot be used."""
        state = self.state(name)
        if state.folder is None or state.problem:
            raise WeightsMissing(
                f"{state.network.title} cannot be used: {state.problem}",
                f"Where: {state.network.origin}. Nothing is downloaded here.",
            )
        return state.folder

    def record(self, name: str) -> NetworkRecord:
        """Return what a manifest says of a network, with its hash. Raises ``WeightsMissing``."""
        if not self.ledger.find(name).is_included:
            self.require(name)
        state = self.state(name)
        return state.network.record(self.sha256(state))

    def sha256(self, state: NetworkState) -> str:
        """Return the SHA-256 of a network's weights: of the one file, or over names and hashes.

        Hashes of large files are kept beside them, and computed again where size or time differ.
        """
        if not state.files or state.folder is None:
            return ""
        known = self._read_hashes()
        hashes = {path: self._file_hash(path, known) for path in state.files}
        self._write_hashes(known)
        if len(hashes) == 1:
            return next(iter(hashes.values()))
        whole = hashlib.sha256()
        for path, digest in sorted(hashes.items()):
            whole.update(f"{path.relative_to(state.folder).as_posix()} {digest}\n".encode())
        return whole.hexdigest()

    def _has(self, folder: str) -> bool:
        path = self.root / folder
        return path.is_dir() and any(path.iterdir())

    def _file_hash(self, path: Path, known: dict[str, str]) -> str:
        info = path.stat()
        key = f"{path.absolute().as_posix()} {info.st_size} {info.st_mtime_ns}"
        if key not in known:
            with path.open("rb") as file:
                known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return known[key]

    def _read_hashes(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            found = json.loads((self.root / _HASHES).read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return {str(key): str(value) for key, value in found.items()}
        return {}

    def _write_hashes(self, known: dict[str, str]) -> None:
        with suppress(OSError):  # others may own the folder; then it is computed each time
            if self.root.is_dir() and known != self._read_hashes():
                (self.root / _HASHES).write_text(json.dumps(known), encoding="utf-8")


def _included_state(network: Network) -> NetworkState:
    if network.package:
        return _installed_state(network)
    root = Path(str(resources.files("layert2v_engine")))
    paths = [root / each for each in network.shipped]
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    missing = next((path for path in paths if not path.exists()), None)
    problem = "" if missing is None else f"{missing.name} is missing from the package."
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    return NetworkState(network=network, folder=folder, files=tuple(files), problem=problem)


def _installed_state(network: Network) -> NetworkState:
    spec = util.find_spec(network.package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [path for place in places for path in sorted(Path(place).rglob("*.safetensors"))]
    if not files:
        problem = "Its Python package is not installed."
        return NetworkState(network=network, folder=None, files=(), problem=problem)
    return NetworkState(network=network, folder=files[0].parent, files=tuple(files), problem="")


def _check_files(network: Network, folder: Path) -> tuple[tuple[Path, ...], str]:
    """Return the files of a network and a sentence about what keeps them from being used."""
    found: list[Path] = []
    for pattern in network.files:
        matches = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not matches:
            return tuple(found), _missing_sentence(folder, pattern)
        found += matches
    files = tuple(dict.fromkeys(found))
    parts = {path.parent for path in files}
    unfinished = next((p for part in parts for p in part.iterdir() if _is_unfinished(p)), None)
    if unfinished is not None:
        return files, f"{unfinished} is half a download."
    for path in files:
        problem = _weights_problem(path)
        if problem:
            return files, problem
    lost = next((shard for part in sorted(parts) for shard in _lost_shards(part)), None)
    return files, "" if lost is None else f"{lost} is missing, so it is half a download."


def _missing_sentence(folder: Path, pattern: str) -> str:
    there = [path.name for path in folder.rglob("*") if path.suffix in _UNSAFE]
    if there and pattern.endswith(".safetensors"):
        return (
            f"{folder} has {there[0]}, a format that can run code, and no {pattern}; "
            "take the files as safetensors."
        )
    return f"{folder} has no {pattern}."


def _is_unfinished(path: Path) -> bool:
    return path.name.endswith(_UNFINISHED)


def _weights_problem(path: Path) -> str:
    """Return a sentence about a safetensors file that is not whole, "" for others."""
    if path.suffix != ".safetensors":
        return "" if path.stat().st_size else f"{path} is empty."
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            return f"{path} is not a safetensors file, or not whole."
        try:
            header = json.loads(file.read(length))
            entries = [value for key, value in header.items() if key != "__metadata__"]
            end = max((int(entry["data_offsets"][1]) for entry in entries), default=0)
        except (ValueError, TypeError, LookupError, AttributeError):
            return f"{path} is not a safetensors file."
    if 8 + length + end != size:
        return f"{path} is half a download: {size} of {8 + length + end} bytes."
    return ""


def _lost_shards(folder: Path) -> Iterator[Path]:
    for index in sorted(folder.glob("*.safetensors.index.json")):
        with suppress(ValueError, AttributeError, OSError):
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            for name in sorted({str(each) for each in shards}):
                if not (folder / name).is_file():
                    yield folder / name
