"""Widgets that panels and preferences share: paragraphs, the state of the connection."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import bpy

from layert2v.labels import LABELS
from layert2v.priorities import describe_refusal
from layert2v.status_text import account_text

from ..requests import request_manager
from ..settings import offline_reason, preferences

if TYPE_CHECKING:
    from layert2v_client.session import Connected, Disconnected

COLUMNS = 42  # characters of a sidebar of ordinary width


def draw_paragraph(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Draw text over as many lines as it needs, which a label cannot do."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    indent = "NONE" if icon == "NONE" else "BLANK1"
    for number, line in enumerate(textwrap.wrap(text, COLUMNS)):
        column.label(text=line, icon=indent if number else icon)


def draw_connection(layout: bpy.types.UILayout) -> None:
    """Draw what is known of the server, and the button that asks it."""
    server = preferences().server
    reason = offline_reason()
    status = request_manager.server_status
    label = "Test Connection" if server else "Start Local Server"
    if reason:
        draw_paragraph(layout, reason, "ERROR")
    elif status is not None:
        label = LABELS["retry"].text
        _draw_status(layout, server or "this machine", status)
    elif request_manager.has_session:
        draw_paragraph(layout, "Connecting ...", "SORTTIME")
    layout.operator("layert2v.connect", text=label, icon="PLUGIN" if server else "PLAY")


def draw_account(layout: bpy.types.UILayout) -> None:
    """Draw what the user has on the server, and a priority that it would refuse."""
    account = request_manager.account
    if account is None:
        return
    text = account_text(
        account.used_bytes,
        account.max_bytes,
        account.open_jobs,
        account.queued_jobs,
        account.max_open_jobs,
    )
    draw_paragraph(layout, f"{LABELS['account'].text}: {text}", "INFO")
    refusal = describe_refusal(bpy.context.scene.layert2v.priority, account.priorities)
    if refusal:
        draw_paragraph(layout, refusal, "ERROR")


def _draw_status(layout: bpy.types.UILayout, server: str, status: Connected | Disconnected) -> None:
    from layert2v_client import session  # only here: it loads gRPC

    if isinstance(status, session.Disconnected):
        draw_paragraph(layout, " ".join(filter(None, (status.message, status.hint))), "ERROR")
        return
    titles = ", ".join(model.title for model in status.models) or "still loading its models"
    draw_paragraph(layout, f"Connected to {server}: {titles}", "CHECKMARK")
