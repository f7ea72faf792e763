"""An engine that makes a stack with several processes, each with a device of its own.

The first process is this one: it decodes and writes. The others are started for the first run, keep
their models, and take part in each run of a prompt. Re-renders and footage are for the first device
alone. A run that does not end well ends the other processes, so that none of them waits for what
never comes; the next run starts new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec, ModelInfo, spec_to_json
from layert2v.stack import Stack
from layert2v_engine.engine import Engine, Progress
from layert2v_engine.model.parallel import Parallelism
from layert2v_engine.model.speed import SpeedOptions
from layert2v_engine.process_group import ProcessGroup

Report = Callable[[Progress], None]


class SharedEngine:
    """An engine on ``devices``, one for each process, of which the first is that of this one.

    ``parallel`` says how processes share a run; see ``Parallelism``. Other options are those of
    ``Engine``.
    """

    def __init__(
        self,
        models: Path | None = None,
        device: str = "cpu",
        *,
        devices: Sequence[str] = (),
        parallel: str = Parallelism.ulysses.value,
        **options: Any,
    ) -> None:
        self._models, self._options = models, options
        self._devices = (device, *devices)
        self._kind = Parallelism(parallel)
        self._alone = Engine(models, device, **options)
        self._shared: Engine | None = None
        self._group: ProcessGroup | None = None

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models; see ``Engine``."""
        return self._alone.models()

    def generate(
        self,
        spec: GenerateSpec,
        folder: Path,
        *,
        report: Report,
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Write the stack of a prompt with all processes. Raises what ``Engine.generate`` does.

        A recipe runs on the first device alone.
        """
        spec = self._alone.complete(spec)
        if self._alone.is_recipe(spec.model):
            self._release_shared()
            return self._alone.generate(spec, folder, report=report, cancelled=cancelled)
        self._alone.release_models()
        group, shared = self._open_group()
        try:
            with group.watch_others():
                group.send({"spec": spec_to_json(spec)})
                return shared.generate(spec, folder, report=report, cancelled=cancelled)
        except BaseException as error:
            if isinstance(error, RuntimeError):  # as of an exchange with one that is gone
                group.end_like_others()
            self._release_shared()
            failure = group.failure()
            if failure is None:
                raise
            raise failure from error

    def rerender(
        self,
        spec: RerenderSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Report,
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Change a stack on the first device; see ``Engine``."""
        self._release_shared()
        return self._alone.rerender(spec, folder, inputs=inputs, report=report, cancelled=cancelled)

    def decompose(
        self,
        spec: DecomposeSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Report,
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Make layers of footage on the first device; see ``Engine``."""
        self._release_shared()
        return self._alone.decompose(
            spec, folder, inputs=inputs, report=report, cancelled=cancelled
        )

    def refine(
        self,
        spec: RefineSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Report,
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Give a foreground another matte on the first device; see ``Engine``."""
        self._release_shared()
        return self._alone.refine(spec, folder, inputs=inputs, report=report, cancelled=cancelled)

    def close(self) -> None:
        """End the other processes."""
        self._release_shared()

    def _open_group(self) -> tuple[ProcessGroup, Engine]:
        if self._group is None or self._shared is None:
            setup: dict[str, Any] = {
                "models": self._models,
                "parallel": self._kind.value,
                "options": self._options,
            }
            self._group = ProcessGroup(self._devices, assist, setup)
            self._shared = _make_engine(self._devices[0], **setup)
        return self._group, self._shared

    def _release_shared(self) -> None:
        """End the other processes, and let the models of the shared engine go."""
        group, self._group, self._shared = self._group, None, None
        if group is not None:
            group.close()


def assist(device: str, receive: Callable[[], Any], setup: dict[str, Any]) -> None:
    """Take part in the runs that the first process sends, one after the other."""
    from layert2v.spec import spec_from_json

    engine = _make_engine(device, **setup)
    while True:
        engine.assist(spec_from_json(receive()["spec"]))


def _make_engine(
    device: str, *, models: Path | None, parallel: str, options: dict[str, Any]
) -> Engine:
    speed = SpeedOptions(parallel=Parallelism(parallel))
    return Engine(models, device, speed=speed, **options)
