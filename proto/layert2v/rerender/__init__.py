"""Requests that change a stack: generate layers again, replace, add, remove, reorder.

Client, server and engine all ask ``affected_layers`` once what a request affects in the state it
starts from, and hand the answer on: to ``validate_rerender``, ``resolve_rerender`` and the rest.
"""

from layert2v.rerender.affected import (
    AffectedLayers,
    affected_layers,
    donor_files,
    next_foreground,
    shadow_of,
    source_files,
)
from layert2v.rerender.spec import (
    AUTO,
    DonorLayer,
    Plate,
    RerenderSpec,
    read_plate,
    rerender_from_json,
    rerender_to_json,
)
from layert2v.rerender.validation import (
    ACTIONS,
    ALPHAS,
    FITS,
    check_input_key,
    check_lengths,
    check_plate,
    check_state,
    resolve_rerender,
    uses_model,
    validate_donor,
    validate_rerender,
)

__all__ = [
    "ACTIONS",
    "ALPHAS",
    "AUTO",
    "FITS",
    "AffectedLayers",
    "DonorLayer",
    "Plate",
    "RerenderSpec",
    "affected_layers",
    "check_input_key",
    "check_lengths",
    "check_plate",
    "check_state",
    "donor_files",
    "next_foreground",
    "read_plate",
    "rerender_from_json",
    "rerender_to_json",
    "resolve_rerender",
    "shadow_of",
    "source_files",
    "uses_model",
    "validate_donor",
    "validate_rerender",
]
