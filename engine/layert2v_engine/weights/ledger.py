"""The licence ledger: every network that the engine can run, and on which terms.

Knows names and words, not where files lie. The entries are in ``ledger.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from layert2v.stack import COMMERCIAL_USES, NetworkRecord
from layert2v_engine.errors import BadConfig, LicenceRefused

LEDGER = Path(__file__).with_name("ledger.toml")
OWN_TERMS = "licence.toml"  # beside weights: what their user agreed with their owner
_TEXTS = ("name", "title", "task", "owner", "licence", "commercial", "terms", "origin")
_LISTS = ("folders", "files", "shipped")
_OPTIONAL_TEXTS = ("package", "sha256")
_USES = {
    "no": "its licence excludes commercial use",
    "ask": "its licence does not simply allow commercial use",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network: what it does, whose it is, on which terms, and which files it consists of.

    ``commercial`` is one of ``layert2v.stack.COMMERCIAL_USES``. ``folders`` are looked for below
    the folder of weights, ``files`` are patterns in them. ``shipped`` are files of this package,
    ``package`` names an installed one that has the files instead. ``sha256`` is known of files that
    never change.
    """

    name: str
    title: str
    task: str
    owner: str
    licence: str
    commercial: str
    terms: str
    origin: str
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    package: str = ""
    sha256: str = ""

    @property
    def is_included(self) -> bool:
        """Whether it comes with the product."""
        return bool(self.shipped or self.package)

    def record(self, sha256: str = "") -> NetworkRecord:
        """Return what a manifest says of it; ``sha256`` is of the files that ran."""
        return NetworkRecord(
            name=self.name,
            licence=self.licence,
            commercial=self.commercial,
            origin=self.origin,
            sha256=sha256 or self.sha256,
        )


class Ledger:
    """The networks of a ledger, by name."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = {network.name: network for network in networks}

    @classmethod
    def read(cls, path: Path = LEDGER) -> Ledger:
        """Read a ledger. Raises ``BadConfig``."""
        table = _read_table(path)
        return cls(_network(path, entry) for entry in table.get("network", ()))

    def __iter__(self) -> Iterator[Network]:
        """Iterate over all networks, in the order of the file."""
        return iter(self._networks.values())

    def find(self, name: str) -> Network:
        """Return the network of a name. Raises ``BadConfig``."""
        if name not in self._networks:
            known = ", ".join(self._networks)
            raise BadConfig(f"The ledger has no network {name!r}.", f"It has: {known}.")
        return self._networks[name]


@lru_cache(maxsize=1)
def default_ledger() -> Ledger:
    """Return the ledger of this package."""
    return Ledger.read()


def unknown_network(name: str) -> Network:
    """Return the entry of weights that no ledger has, such as a model folder of the user's own."""
    return Network(
        name=name,
        title=name,
        task="",
        owner="",
        licence="not stated",
        commercial="ask",
        terms=f"Nobody has said; a {OWN_TERMS} beside the weights does.",
        origin="a folder on this machine",
    )


def with_own_terms(network: Network, folder: Path) -> Network:
    """Return a network on the terms in its folder, where that has some. Raises ``BadConfig``."""
    path = folder / OWN_TERMS
    if not path.is_file():
        return network
    table = _read_table(path)
    unknown = sorted(table.keys() - {"licence", "commercial", "terms", "origin"})
    if unknown:
        raise BadConfig(f"{path} knows no {unknown[0]!r}.", "Name licence, commercial and terms.")
    return _check_use(path, replace(network, **table))


def require_commercial_use(networks: Iterable[NetworkRecord]) -> None:
    """Raise ``LicenceRefused`` for the first network whose licence does not allow it."""
    for network in networks:
        if network.commercial != "yes":
            raise LicenceRefused(
                f"{network.name} ({network.licence}) is not used here, where commercial use must "
                f"be allowed: {_USES[network.commercial]}.",
                "Choose another recipe or model, or ask those who run this for another setting.",
            )


def _network(path: Path, entry: Mapping[str, Any]) -> Network:
    missing = [key for key in _TEXTS if not isinstance(entry.get(key), str)]
    unknown = sorted(entry.keys() - {*_TEXTS, *_LISTS, *_OPTIONAL_TEXTS})
    if missing or unknown:
        problem = f"lacks {missing[0]!r}" if missing else f"has an unknown {unknown[0]!r}"
        raise BadConfig(f"The network {entry.get('name', '?')!r} of {path} {problem}.")
    values: dict[str, Any] = {
        key: tuple(value) if key in _LISTS else value for key, value in entry.items()
    }
    return _check_use(path, Network(**values))


def _check_use(path: Path, network: Network) -> Network:
    if network.commercial not in COMMERCIAL_USES:
        raise BadConfig(
            f"{path}: commercial must be one of {', '.join(COMMERCIAL_USES)}.", "Correct it."
        )
    return network


def _read_table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfig(f"{path} cannot be read: {error}.", "Correct it as TOML.") from error
