"""Rows of the models that workers reported, inside transactions of the job store."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from layert2v.errors import ContractError
from layert2v.spec import ModelInfo, model_from_json, model_to_json
from layert2v_server.store.tables import models


def read_models(connection: Connection) -> tuple[ModelInfo, ...]:
    """Return the models in the order in which they were reported; none where one is damaged."""
    infos = list(connection.execute(select(models.c.info).order_by(models.c.position)).scalars())
    try:
        return tuple(model_from_json(info) for info in infos)
    except ContractError:  # the next worker to start reports them again
        return ()


def replace_models(connection: Connection, reported: Sequence[ModelInfo]) -> None:
    """Replace all models."""
    connection.execute(delete(models))
    rows = [
        {"position": position, "info": model_to_json(model)}
        for position, model in enumerate(reported)
    ]
    if rows:
        connection.execute(insert(models), rows)
