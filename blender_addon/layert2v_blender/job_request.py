"""One request of a scene: what is asked for, how it is doing, and how it is saved. Pure."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layert2v.decompose import (
    decompose_from_json,
    decompose_to_json,
    shot_name,
    shots_of_error,
    split_at_cuts,
)
from layert2v.labels import LABELS
from layert2v.priorities import DEFAULT_PRIORITY

if TYPE_CHECKING:
    from layert2v_client.session import Event, RequestUpdated

# Fields of ``Request`` -> keys of its record, which is saved in .blend files.
_RECORD_KEYS = {
    "kind": "kind", "title": "title", "folder": "folder", "server": "server", "spec": "wish",
    "inputs": "inputs", "stack": "stack", "target": "target", "id": "id", "job": "job",
    "split_at_cuts": "split_at_cuts", "edit_start": "edit_start",
    "priority": "priority",
}  # fmt: skip
# What records of before do not have.
_LATER_KEYS = {"split_at_cuts": False, "edit_start": None, "priority": DEFAULT_PRIORITY}

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Request:
    """A request of a scene. ``spec`` and ``inputs`` are JSON values of the contract.

    ``stack`` is the uid of the stack that a change belongs to, ``target`` where to open a new
    one. With ``split_at_cuts`` footage with cuts becomes a stack for each shot; ``edit_start`` is
    then the number of the first frame of all shots. ``scene`` is the session_uid of its scene; it
    and what follows are not saved.
    """

    kind: str  # generate, decompose, rerender or refine
    title: str
    folder: str
    server: str
    spec: dict[str, Any]
    inputs: dict[str, list[str]] = field(default_factory=dict)
    stack: str = ""
    target: str = ""
    split_at_cuts: bool = False
    edit_start: int | None = None
    priority: str = DEFAULT_PRIORITY
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    job: str = ""
    scene: int = 0
    last_update: RequestUpdated | None = None
    end: Event | None = None  # the event that ended it
    note: str = ""  # what is left to be said of it after its end, in place of an error
    disconnected_reason: str = ""  # why no session follows it
    import_error: str = ""  # why its stack cannot be opened

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.end is None

    @property
    def outcome(self) -> str:
        """The name of the event that ended it; empty before."""
        return "" if self.end is None else type(self.end).__name__

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a stack, and not because the artist cancelled it."""
        is_failure = self.outcome in ("RequestFailed", "RequestLost") and not self.note
        return is_failure or bool(self.import_error)

    @property
    def may_show_nearest(self) -> bool:
        """Whether it was refused for a subject that is not known, and the nearest can be shown."""
        if self.kind not in ("generate", "rerender") or self.spec.get("nearest"):
            return False
        return LABELS["nearest"].text in getattr(self.end, "message", "")

    def to_record(self) -> str:
        """Return what is saved with the scene."""
        return json.dumps({key: getattr(self, name) for name, key in _RECORD_KEYS.items()})

    @classmethod
    def from_record(cls, record: str) -> Request | None:
        """Return the request that was saved; None if the record cannot be read."""
        try:
            values = json.loads(record)
            missing = _LATER_KEYS.keys() - values.keys()
            values |= {key: _LATER_KEYS[key] for key in missing}
            return cls(**{name: values[key] for name, key in _RECORD_KEYS.items()})
        except (ValueError, KeyError, TypeError):
            _log.warning("a saved request cannot be read and is left out")
            return None

    def shot_requests(self) -> tuple[list[Request], str]:
        """Return a request for each shot, and what is to be said of shots that are left out.

        There are none unless the request ended by cuts in its footage, and wanted to be split.
        """
        from layert2v_client.session import RequestFailed  # only here: it loads gRPC

        if not (self.split_at_cuts and isinstance(self.end, RequestFailed)):
            return [], ""
        shots = shots_of_error(self.end.reason, self.end.hint)
        parts, note = split_at_cuts(decompose_from_json(self.spec), shots)
        names = [shot_name(number) for number, _ in enumerate(parts, 1)]
        return [
            Request(
                kind=self.kind,
                title=f"{self.title} {name}",
                folder=str(Path(self.folder) / name),
                server=self.server,
                spec=decompose_to_json(part),
                inputs=self.inputs,
                target=self.target,
                edit_start=parts[0].first,
                priority=self.priority,
                scene=self.scene,
            )
            for name, part in zip(names, parts, strict=True)
        ], note
