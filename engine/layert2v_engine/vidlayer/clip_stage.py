"""What every stage that takes clips one by one has in common."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from layert2v_engine.errors import Cancelled, EngineError
from layert2v_engine.vidlayer.state import QUARANTINE, ClipState
from layert2v_engine.vidlayer.vision import VisionBudget

STOPPING = ("DISK_FULL", "WRITE_FAILED", "VISION_UNUSABLE", VisionBudget.reason)


class PerClipStage:
    """Clips in, the same clips out; a batch has ``clip``, a list of names.

    All that is known of a clip is in its ``ClipState``. A clip that is done or out is passed on.
    One that cannot be worked on is put in quarantine with the reason, and the others go on.
    """

    name = ""
    after = ""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work on the clips of a batch."""
        for clip in batch["clip"]:
            state = ClipState(self.root, str(clip))
            if state.is_done(self.name) or state.is_out or not state.is_done(self.after):
                continue
            self._work_on(state)
        return batch

    def work_on(self, state: ClipState) -> dict[str, Any]:
        """Return the result of the stage for one clip. Raises ``EngineError``."""
        raise NotImplementedError

    def _work_on(self, state: ClipState) -> None:
        try:
            state.finish(self.name, self.work_on(state))
        except Cancelled:
            raise
        except Exception as error:
            reason = getattr(error, "reason", type(error).__name__)
            if reason in STOPPING:  # it is not the clip's fault
                raise
            if not isinstance(error, EngineError):
                logging.getLogger(__name__).exception("clip=%s stage=%s", state.clip, self.name)
            facts = {"stage": self.name, "reason": reason, "message": str(error)}
            state.finish(QUARANTINE, facts)
