"""Servers on this machine: a temporary one for a single call, and one that sessions share."""

from layert2v_client.local_server.process import EmbeddedServer, temporary_server
from layert2v_client.local_server.shared import SharedServer

__all__ = ["EmbeddedServer", "SharedServer", "temporary_server"]
