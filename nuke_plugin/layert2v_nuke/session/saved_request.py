"""A request as its node keeps it, so that it can be sent again. Knows no host.

The knob holds JSON: ``do`` is the method of the bridge, beside its parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from layert2v.decompose import (
    decompose_from_json,
    decompose_to_json,
    shot_name,
    shots_of_error,
    split_at_cuts,
)

_METHOD, _SPLIT, _NOTE = "do", "split_at_cuts", "note"


@dataclass(frozen=True)
class SavedRequest:
    """A method of the bridge with its parameters.

    With ``split_at_cuts``, footage with cuts becomes a request for each shot. ``note`` is said
    when its stack is there.
    """

    method: str
    params: Mapping[str, Any]
    split_at_cuts: bool = False
    note: str = ""

    @property
    def inputs(self) -> Mapping[str, Sequence[str]]:
        """The files of the request by their keys."""
        found: Mapping[str, Sequence[str]] = self.params.get("inputs", {})
        return found

    def to_json(self) -> str:
        """Return what the node's knob holds."""
        kept = {_SPLIT: self.split_at_cuts, _NOTE: self.note}
        values = {name: value for name, value in kept.items() if value}
        return json.dumps({_METHOD: self.method, **self.params, **values})

    @classmethod
    def from_json(cls, text: str) -> SavedRequest | None:
        """Return what a knob holds; None where somebody has changed the hidden knob."""
        try:
            params = json.loads(text)
            method = params.pop(_METHOD)
            return cls(method, params, bool(params.pop(_SPLIT, False)), params.pop(_NOTE, ""))
        except (ValueError, AttributeError, KeyError, TypeError):
            return None

    def shot_requests(self, reason: str, hint: str) -> tuple[SavedRequest, ...]:
        """Return a request for each shot, in folders below its own; the first one has the note.

        There are none unless the error is about cuts, and the request wanted to be split.
        """
        shots = shots_of_error(reason, hint) if self.split_at_cuts else ()
        if not shots:
            return ()
        parts, note = split_at_cuts(decompose_from_json(self.params["spec"]), shots)
        requests = []
        for number, part in enumerate(parts, 1):
            folder = str(Path(self.params["folder"]) / shot_name(number))
            params = {**self.params, "spec": decompose_to_json(part), "folder": folder}
            requests.append(replace(self, params=params, note=note if number == 1 else ""))
        return tuple(requests)
