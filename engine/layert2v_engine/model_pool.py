"""Models by name, loaded so that a run of a size fits into memory, and kept there as they fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from layert2v.spec import ModelInfo
from layert2v_engine.devices import device_memory, free_memory
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.estimate import RunEstimate, estimate_run, fit_memory, read_shape
from layert2v_engine.loaded_models import LoadedModels
from layert2v_engine.model.checkpoint import CheckpointConfig, read_index
from layert2v_engine.model.memory import MemoryOptions, Offload, exact_options
from layert2v_engine.model.speed import SpeedOptions
from layert2v_engine.out_of_memory import raise_out_of_memory
from layert2v_engine.pipeline import LayeredPipeline, find_models
from layert2v_engine.presets import find_presets, presets_of

_log = logging.getLogger(__name__)


class ModelPool:
    """The models of a folder on one device.

    ``memory`` None chooses for each run what makes it fit.
    """

    def __init__(
        self,
        models: Path | None,
        device: str,
        memory: MemoryOptions | None,
        speed: SpeedOptions | None,
    ) -> None:
        self._device, self._memory, self._speed = device, memory, speed
        self._folders, self._presets = find_models(models), find_presets(models)
        self._loaded = LoadedModels[LayeredPipeline](lambda: free_memory(torch.device(device)))
        self._run: RunEstimate | None = None

    def infos(self) -> Iterator[ModelInfo]:
        """Yield what the models say of themselves whose index can be read."""
        for folder in self._folders.values():
            with suppress(BadCheckpoint):  # logged when it was found, raised when asked for
                info = read_index(folder).info
                yield replace(info, presets=presets_of(info.name, self._presets))

    def folder(self, name: str) -> Path:
        """Return the folder of a model that ``config`` knows."""
        return self._folders[name]

    def find(self, name: str) -> LayeredPipeline | None:
        """Return a model that is in memory; None where it is not."""
        return self._loaded.find(name)

    def keep(self, count: int) -> None:
        """Keep the models used last, ``count`` of them, and let others go."""
        self._loaded.keep(count)

    def config(self, name: str) -> CheckpointConfig:
        """Return what a model declares: that of the weights in memory, if it is there."""
        loaded = self._loaded.find(name)
        if loaded is not None:
            return loaded.config
        if name not in self._folders:
            known = ", ".join(self._folders) or "none"
            raise ModelNotFound(
                f"There is no model called {name!r} here.", f"Models here: {known}."
            )
        return read_index(self._folders[name])

    def pipeline(
        self, name: str, *, size: tuple[int, int], frames: int, foregrounds: int
    ) -> LayeredPipeline:
        """Return a model, loaded so that a guided run of a size (pixels) fits into memory.

        One in memory that saves more than is needed stays as it is.
        """
        device = torch.device(self._device)
        shape = read_shape(name, device, self._folders[name])
        choices = exact_options(device) if self._memory is None else (self._memory,)

        def estimate(options: MemoryOptions) -> RunEstimate:
            return estimate_run(
                shape,
                size=size,
                frames=frames,
                foregrounds=foregrounds,
                steps=1,
                guided=True,
                options=options,
            )

        self._run = fit_memory(estimate, choices, device_memory(device))
        options = self._run.options
        pipeline = self._loaded.find(name)
        if pipeline is not None and pipeline.memory in choices[choices.index(options) :]:
            self._loaded.make_room(self._run.working_bytes, spare=name)
            self._loaded.add(name, pipeline)
            return pipeline
        self._loaded.remove(name)
        if options.offload is Offload.none:
            self._loaded.make_room(self._run.peak)
        else:  # the memory of the machine holds what is not at work, of one model
            self._loaded.keep(0)
        _log.info("model=%s switched on to save memory: %s", name, options)
        pipeline = LayeredPipeline.from_pretrained(
            self._folders[name], device=self._device, memory=options, speed=self._speed
        )
        self._loaded.add(name, pipeline)
        return pipeline

    def raise_out_of_memory(self) -> AbstractContextManager[None]:
        """Raise OutOfMemory, with the numbers of the run, where memory ends inside."""
        self._run = None
        return raise_out_of_memory(self._device, lambda: self._run.peak if self._run else None)
