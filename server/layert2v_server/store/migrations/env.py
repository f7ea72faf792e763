"""Alembic's entry: run the migrations on the connection that ``open_database`` hands over."""

from __future__ import annotations

from alembic import context

from layert2v_server.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
