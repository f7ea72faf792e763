"""A real worker on a node that sees the server's folder, and on one that does not."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_engine import ENGINE, Behaviour
from fakes.live_server import environment
from fakes.local_actor import LocalActor
from layert2v.spec import GenerateSpec, spec_to_json
from layert2v.stack import read
from layert2v_server.domain.request import JobKind
from layert2v_server.worker.cluster.actor import WorkerActor
from layert2v_server.worker.cluster.relay import Relay
from layert2v_server.worker.messages import (
    CancelJob,
    Finished,
    Message,
    ProgressReport,
    Ready,
    RunJob,
    Stopped,
    WorkerEnded,
    decode,
    encode,
)

WORKER = ["--engine", ENGINE, "--device", "cpu", "--heartbeat", "0.2"]
SLOW = Behaviour(step_s=0.05)


class Messages:
    """What the server receives, and what it does about it."""

    def __init__(self, react: Callable[[Message], None]) -> None:
        self.received: list[Message] = []
        self._react = react

    def write(self, line: bytes) -> None:
        self.send(decode(line))

    def send(self, message: Message) -> None:
        self.received.append(message)
        self._react(message)


def job_in(folder: Path, behaviour: Behaviour, steps: int = 2) -> RunJob:
    spec = GenerateSpec(
        prompt="a fox", negative_prompt=behaviour.to_prompt(), width=64, height=64, frames=2,
        fps=12.0, steps=steps, seed=1,
    )  # fmt: skip
    return RunJob(
        job="j",
        job_kind=JobKind.GENERATE,
        spec=spec_to_json(spec),
        folder=str(folder / "attempt_1" / "stack"),
        source=str(folder / "source"),
        preview=str(folder / "preview.png"),
    )


def run(data: Path, job: RunJob, *, is_shared: bool, cancel: bool = False) -> list[Message]:
    """Run a job on a node, and return what the server received until the outcome."""
    probe = data / ".node_probe"
    data.mkdir(exist_ok=True)
    probe.write_text("token" if is_shared else "of another folder")

    async def work() -> list[Message]:
        actor = WorkerActor()
        facts = await actor.start(WORKER, str(probe), "token")
        assert facts["shared"] is is_shared
        lines: asyncio.Queue[bytes] = asyncio.Queue()

        def react(message: Message) -> None:
            if isinstance(message, Ready):
                lines.put_nowait(encode(job))
            elif isinstance(message, ProgressReport) and cancel:
                lines.put_nowait(encode(CancelJob(job=job.job)))
            elif isinstance(message, Finished | Stopped):
                lines.put_nowait(b"")

        messages: Any = Messages(react)
        relay = Relay(LocalActor(actor), messages, is_shared=is_shared, heartbeat_s=0.2)
        await asyncio.wait_for(relay.run(lines), 60)
        await actor.close()
        return list(messages.received)

    return asyncio.run(work())


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    (tmp_path / "node").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))


def test_a_node_with_the_servers_folder_works_in_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    job = job_in(data, Behaviour())
    outcome = run(data, job, is_shared=True)[-1]
    assert isinstance(outcome, Finished)
    assert outcome.preview
    assert len(read(Path(job.folder)).files()) + 2 == len(outcome.files)
    assert list((tmp_path / "node").iterdir()) == []


def test_files_of_another_node_come_back_whole(tmp_path: Path) -> None:
    there, here = tmp_path / "data", tmp_path / "other"
    expected = run(there, job_in(there, Behaviour()), is_shared=True)[-1]
    job = job_in(here, SLOW)
    outcome = run(here, job, is_shared=False)[-1]
    assert isinstance(outcome, Finished)
    assert isinstance(expected, Finished)
    # The manifests hold the prompt, which says how slow the engine is.
    assert outcome.files[:-2] == expected.files[:-2]
    files = {path for path in Path(job.folder).rglob("*") if path.is_file()}
    assert files == {Path(job.folder) / file["path"] for file in outcome.files}
    assert Path(job.preview).read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "node").iterdir()) == []


def test_a_job_on_another_node_is_cancelled(tmp_path: Path) -> None:
    data = tmp_path / "data"
    received = run(data, job_in(data, SLOW, steps=1000), is_shared=False, cancel=True)
    assert isinstance(received[-1], Stopped)
    assert not (data / "attempt_1").exists()


def test_a_worker_that_ends_ends_the_relay(tmp_path: Path) -> None:
    data = tmp_path / "data"
    job = replace(job_in(data, Behaviour(fault="crash")))
    received = run(data, job, is_shared=True)
    assert received[-1] == WorkerEnded(exit_code=-signal.SIGKILL)
