"""What a manifest says of a model folder and of the text encoder that it uses."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from layert2v.stack import NetworkRecord
from layert2v_engine.model.checkpoint import CheckpointConfig
from layert2v_engine.weights.folder import WeightsFolder
from layert2v_engine.weights.ledger import unknown_network, with_own_terms

TEXT_NETWORK = "all-minilm-l6-v2"


def model_records(
    folder: Path, config: CheckpointConfig, weights: WeightsFolder
) -> tuple[NetworkRecord, ...]:
    """Return the networks of a model: those that ship are in the ledger, others say it themselves.

    Raises ``BadConfig`` for terms that cannot be read.
    """
    info = config.info
    if folder.is_relative_to(Path(str(resources.files("layert2v_engine")))):
        network = weights.ledger.find(info.name)
    else:
        network = with_own_terms(unknown_network(info.name), folder)
    records = [network.record(info.digest)]
    if config.text_encoder == "minilm":
        records.append(weights.record(TEXT_NETWORK))
    return tuple(records)
