"""Server addresses: ``HOST:PORT`` or ``unix:PATH``.

Knows how an address is written, not how to connect to it.
"""

from __future__ import annotations

import ipaddress


def port_of(address: str) -> int:
    """Return the port of ``HOST:PORT``; 0 for a unix socket and for what is no address."""
    port = "" if address.startswith("unix:") else address.rpartition(":")[2]
    return int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0


def is_local(address: str) -> bool:
    """Return whether ``address`` cannot leave this machine: a unix socket or a loopback host.

    Names other than ``localhost`` are not looked up and count as remote.
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
