"""Requests in the background and events on the host's own thread: what Blender and Nuke use."""

from layert2v_client.session.events import (
    AccountUpdated,
    Connected,
    Disconnected,
    Event,
    PreviewUpdated,
    RequestCancelled,
    RequestFailed,
    RequestLost,
    RequestSucceeded,
    RequestUpdated,
)
from layert2v_client.session.session import Session, SessionSettings

__all__ = [
    "AccountUpdated",
    "Connected",
    "Disconnected",
    "Event",
    "PreviewUpdated",
    "RequestCancelled",
    "RequestFailed",
    "RequestLost",
    "RequestSucceeded",
    "RequestUpdated",
    "Session",
    "SessionSettings",
]
