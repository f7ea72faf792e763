"""A strict ``nuke`` module: what the plug-in uses of it, and nothing else.

Stricter than Nuke: unknown classes, knobs, enum values, channels and types are refused, and so are
calls from other threads, dialogs in dispatched calls, handles of deleted nodes and any write to the
project. What Nuke would expand as code in labels and paths is listed in ``executed``.
"""

from __future__ import annotations

from fakes.fake_nuke.app import FakeNuke
from fakes.fake_nuke.rules import Forbidden

__all__ = ["FakeNuke", "Forbidden"]
