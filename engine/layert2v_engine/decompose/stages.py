"""The stages that a decomposition is made of, and those that ship with the product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from layert2v.stack import NetworkRecord
from layert2v_engine.decompose.networks.nanodet import NanoDet
from layert2v_engine.decompose.networks.u2netp import U2NetP
from layert2v_engine.decompose.plate.fill import PatchFiller
from layert2v_engine.decompose.protocols import (
    ObjectDetector,
    PlateFiller,
    PlateRemover,
    SaliencyNetwork,
    Splitter,
    SubjectTracker,
)
from layert2v_engine.decompose.splitter import TrainedSplitter
from layert2v_engine.weights.folder import WeightsFolder

# Those of the ledger that the stages below are; the last one reads the words of subjects.
NETWORKS = ("u2netp", "nanodet", "splitter", "all-minilm-l6-v2")


@dataclass(frozen=True, kw_only=True)
class Stages:
    """One network, or what stands in for it, for each stage that needs one.

    ``tracker`` and ``remover`` take the place of what the product does for subjects and plate.
    ``networks`` are what the manifest says of all of them.
    """

    saliency: SaliencyNetwork
    detector: ObjectDetector | None
    filler: PlateFiller
    splitter: Splitter
    networks: tuple[NetworkRecord, ...] = ()
    tracker: SubjectTracker | None = None
    remover: PlateRemover | None = None


class DefaultStages:
    """The stages that need nothing but the product, each loaded when it is first used."""

    def __init__(self, weights: WeightsFolder | None = None) -> None:
        self._weights = weights or WeightsFolder()

    @cached_property
    def stages(self) -> Stages:
        """The stages. Raises ``BadCheckpoint``."""
        return Stages(
            networks=tuple(self._weights.record(name) for name in NETWORKS),
            saliency=U2NetP(),
            detector=NanoDet(),
            filler=PatchFiller(),
            splitter=TrainedSplitter(),
        )
