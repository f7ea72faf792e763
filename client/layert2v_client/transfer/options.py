"""The options of a transfer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from layert2v_client.connection import RETRY_TIMEOUT_S
from layert2v_client.transfer.shared_disk import PathMap

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class TransferOptions:
    """Options of an upload or a download.

    ``report`` is called with bytes done and bytes in all. A connection that breaks is tried again
    for ``retry_timeout_s`` seconds. ``path_map`` turns prefixes of the server's paths into this
    machine's. ``link`` allows a hard link to a file of the server in place of a copy. Setting
    ``stop`` cancels the transfer.
    """

    report: ProgressCallback | None = None
    retry_timeout_s: float = RETRY_TIMEOUT_S
    path_map: PathMap = ()
    link: bool = False
    stop: threading.Event | None = None
