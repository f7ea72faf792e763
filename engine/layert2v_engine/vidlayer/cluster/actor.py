"""What runs in an actor: a group of stages, made there, for one clip or source at a time.

Answers are plain data, errors too: an exception of ours would have to be known where it arrives.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import layert2v
from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.plan import BuildPlan
from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.vision import VisionClient
from layert2v_engine.vidlayer.worker_lock import hold_worker_lock

Answer = dict[str, Any]
SEEN_TIMEOUT_S = 90.0  # NFS keeps for a minute that a file was not there
SHARED_DISK = "Build in a folder, from sources, that all nodes see by the same path."


class StageActor:
    """The stages of one group; ``load`` comes first, then ``work`` for each clip or source."""

    def __init__(self, plan: BuildPlan, stages: tuple[str, ...], threads: int) -> None:
        self._plan, self._names, self._threads = plan, stages, threads
        self._stages: dict[str, PerClipStage] = {}
        self._clients: dict[str, VisionClient] = {}
        self._open = ExitStack()  # until the process ends

    def load(self, token: str, folder: str) -> Answer:
        """Load networks, and look whether this node sees the data set; ``token`` is in its lock.

        ``folder`` is the one that relative paths of sources are seen from.
        """
        with suppress(OSError):  # absolute paths do not need it
            os.chdir(folder)
        try:
            self._load(token)
        except EngineError as error:
            return _error_answer(error)
        return {"node": self._find_node(), "version": layert2v.__version__}

    def work(self, item: dict[str, str], allowed: dict[str, int]) -> Answer:
        """Carry a clip through the stages, or cut a source to clips.

        ``allowed`` requests may be made to the endpoint of a stage; those ``made`` are returned.
        """
        made = {name: client.requests for name, client in self._clients.items()}
        for name, client in self._clients.items():
            client.requests = client.config.max_requests - allowed[name]
            made[name] = client.requests
        answer: Answer = {}
        try:
            self._run(item)
        except EngineError as error:
            answer = _error_answer(error)
        requests = {name: client.requests - made[name] for name, client in self._clients.items()}
        return {**answer, "made": requests}

    def _load(self, token: str) -> None:
        import cv2
        import torch

        torch.set_num_threads(self._threads)
        cv2.setNumThreads(self._threads)
        self._open.enter_context(hold_worker_lock(self._plan.root, token))
        for name in self._names:
            if name == "clip":
                continue
            if client := self._plan.make_client(name):
                self._clients[name] = client
            self._stages[name] = self._plan.make_stage(name, client)

    def _find_node(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def _run(self, item: dict[str, str]) -> None:
        if "clip" in item:
            self._wait_for_files(ClipState(self._plan.root, item["clip"]))
            for stage in self._stages.values():
                stage({"clip": [item["clip"]]})
            return
        path = Path(item["path"])
        if not path.exists():
            raise EngineError(f"A node does not see {path}.", SHARED_DISK, reason="NOT_SHARED")
        self._plan.make_clip_stage()({"source": [{**item, "path": path}]})

    def _wait_for_files(self, state: ClipState) -> None:
        """Wait until this node sees what another one wrote of a clip, which network disks delay."""
        after = next(iter(self._stages.values())).after
        end = time.monotonic() + SEEN_TIMEOUT_S
        while not (state.is_done(after) or state.is_out):
            if time.monotonic() > end:
                raise EngineError(
                    f"A node does not see what another one wrote of {state.clip}.",
                    SHARED_DISK,
                    reason="NOT_SHARED",
                )
            time.sleep(0.2)


def _error_answer(error: EngineError) -> Answer:
    facts = {"message": error.message, "hint": error.hint, "reason": error.reason}
    return {"error": facts}
