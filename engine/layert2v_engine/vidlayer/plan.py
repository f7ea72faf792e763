"""What a build is made of: settings that travel to other processes, and the stages that they make.

A stage holds networks and connections, which do not travel, so every process makes its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import ClipFormat, ClipStage
from layert2v_engine.vidlayer.state import WORK
from layert2v_engine.vidlayer.thresholds import Thresholds
from layert2v_engine.vidlayer.vision import VisionClient, VisionConfig
from layert2v_engine.vidlayer.write import WriteStage

STAGES = ("annotate", "cut", "inspect", "write")  # after the clips are there, in this order


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """All that decides what is built in ``root``, but for the sources."""

    root: Path
    thresholds: Thresholds
    clip_format: ClipFormat = field(default_factory=ClipFormat)
    annotator: VisionConfig | None = None
    inspector: VisionConfig | None = None
    votes: int = 3
    subjects: int = 1  # of a clip, at most

    def make_clip_stage(self) -> ClipStage:
        """Return the stage that makes clips of sources."""
        return ClipStage(self.root, self.clip_format, self.thresholds)

    def make_client(self, name: str) -> VisionClient | None:
        """Return a client of the endpoint that a stage asks, None where it asks nobody."""
        config = {"annotate": self.annotator, "inspect": self.inspector}.get(name)
        return VisionClient(config, self.root / WORK / ".answers") if config else None

    def make_stage(self, name: str, client: VisionClient | None = None) -> PerClipStage:
        """Return one of ``STAGES`` with its networks loaded. Raises ``BadCheckpoint``.

        It asks by ``client``, or by one of its own.
        """
        from layert2v_engine.decompose.networks.nanodet import NanoDet
        from layert2v_engine.vidlayer.annotate import AnnotateStage
        from layert2v_engine.vidlayer.cut import CutStage
        from layert2v_engine.vidlayer.inspect import InspectStage

        client = client or self.make_client(name)
        if name == "annotate":
            return AnnotateStage(self.root, client, self.subjects)
        if name == "cut":
            return CutStage(self.root, NanoDet(), subjects=self.subjects)
        if name == "inspect":
            return InspectStage(self.root, self.thresholds, client, self.votes, NanoDet())
        return WriteStage(self.root)
