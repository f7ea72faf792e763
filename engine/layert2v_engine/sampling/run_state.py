"""The state of a denoising run on disk: a run that is killed goes on where it was.

Beside the latents there is what the solver remembers; noise and prompts follow from the request. So
on the same device the same numbers come out as without a stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.tensor_file import count_tensors

SAVE_STEPS = 5  # at most so many steps are computed again

_FILE = "run.safetensors"
_MAX_HEADER_BYTES = 16 << 10
_MAX_TENSORS = 8


class RunState(AbstractContextManager["RunState"]):
    """The state of one run in ``folder``, written every ``save_steps`` steps and at the end.

    The end of a ``with`` block removes the file, however it comes; only a process that is killed
    leaves it.
    """

    def __init__(self, folder: Path, *, save_steps: int = SAVE_STEPS) -> None:
        self._path = folder / _FILE
        self._key = ""
        self._save_steps = save_steps

    def identify(self, facts: object, tensors: Mapping[str, Tensor]) -> None:
        """Tell what the run depends on, so that the state of no other one is taken for its own."""
        key = hashlib.sha256(repr(facts).encode())
        for name, tensor in sorted(tensors.items()):
            key.update(f"{name} {tuple(tensor.shape)}".encode())
            key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self._key = key.hexdigest()

    def load(self) -> tuple[int, dict[str, Tensor]]:
        """Return how many steps are done, and the tensors of then; 0 and none for a new run."""
        try:
            count_tensors(self._path, max_header_bytes=_MAX_HEADER_BYTES, max_tensors=_MAX_TENSORS)
            with safe_open(self._path, framework="pt") as file:
                facts = file.metadata() or {}
                if facts.get("key") != self._key:
                    return 0, {}
                names = file.keys()
                return int(facts["done"]), {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError, BadCheckpoint, KeyError, ValueError):
            return 0, {}

    def save(self, done: int, total: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the state after ``done`` of ``total`` steps, if it is time to. Raises DiskFull."""
        if done % self._save_steps and done != total:
            return
        kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        with atomic_write(self._path) as temporary:
            temporary.write_bytes(save(kept, {"key": self._key, "done": str(done)}))

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or there is more in it
            self._path.parent.rmdir()
