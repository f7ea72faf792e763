"""The real engine behind the real server: a tiny random checkpoint, in a real worker process."""

from __future__ import annotations

import re
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes import malformed_images
from fakes.live_server import LiveServer, live_server, wait_until
from fakes.machine_load import busy_share
from fakes.sample_stacks import write_stack
from fakes.small_disk import small_disk
from fakes.stack_requests import file_records, image_input, rerender, upload_missing
from fakes.tiny_model import INFO, write_tiny_model
from layert2v.decompose import SCRATCH_FOLDER
from layert2v.rerender import Plate, RerenderSpec, affected_layers, source_files
from layert2v.stack import read
from layert2v.v1 import jobs_pb2, server_pb2
from layert2v_engine.sampling.run_state import SAVE_STEPS
from layert2v_engine.stack.inspect import inspect

SMALL_DISK_MIB = 32  # the stacks of all tests here take 17 and the store's journal some
ROOM_MIB = 2  # on a full disk: for the journal, not for a stack
MIB = 1 << 20
SPARE_MIB = 24  # for a worker that has already made a small stack
PROMPT = "a red fox running through a forest at night"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("engine")
    models = write_tiny_model(folder / "models")
    settings = {"engine": "", "models": str(models), "lease_s": 30.0, "cancel_grace_s": 30.0}
    with (
        small_disk(folder / "disk", SMALL_DISK_MIB),
        live_server(folder / "disk" / "data", **settings) as server,
    ):
        # A cold start of torch and diffusers can outlast what the server lets one call wait.
        wait_until(lambda: bool(server_info(server).models), timeout_s=240)
        yield server


def server_info(server: LiveServer) -> Any:
    return server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest())


def submit(server: LiveServer, **spec: Any) -> Any:
    return server.submit(prompt=PROMPT, negative_prompt="", **spec)


def at(stage: str) -> Any:
    return lambda job: job.progress.stage == stage and job.progress.done > 0


@pytest.fixture(scope="module")
def done(server: LiveServer) -> list[Any]:
    return list(server.watch(submit(server, seed=3).name, previews=True))


def test_a_prompt_becomes_a_stack_that_a_second_library_confirms(
    server: LiveServer, done: list[Any]
) -> None:
    job = done[-1].job
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job.error
    stack = read(Path(job.local_path))
    assert not inspect(Path(job.local_path), stack).problems
    assert [layer.name for layer in stack.layers] == ["bg", "shadow_01", "fg_01"]
    assert stack.name == "a_red_fox_running_through_a_forest_at_ni"
    names = [file.path for file in server.artifacts(job.name)]
    assert names == [*(file.path for file in stack.files()), "history/v001.json", "stack.json"]
    present = {p for p in Path(job.local_path).rglob("*") if p.is_file()}
    assert {p.relative_to(job.local_path).as_posix() for p in present} == set(names)


@pytest.fixture(scope="module")
def swapped(server: LiveServer, done: list[Any]) -> Any:
    spec = RerenderSpec("regenerate", ("bg",), prompts={"bg": "a snowy night"}, seed=4)
    return server.wait_for_end(rerender(server, spec, done[-1].job.name).name)


def test_a_background_is_generated_around_the_fox(done: list[Any], swapped: Any) -> None:
    assert swapped.state == jobs_pb2.JOB_STATE_SUCCEEDED, swapped.error
    before, after = read(Path(done[-1].job.local_path)), read(Path(swapped.local_path))
    assert not inspect(Path(swapped.local_path), after).problems
    assert [layer.version for layer in after.layers] == [2, 1, 1]
    assert after.layer("fg_01") == before.layer("fg_01")
    assert after.history[-1].spec["prompts"] == {"bg": "a snowy night"}
    for file in after.layer("fg_01").files:
        folders = (done[-1].job.local_path, swapped.local_path)
        assert len({(Path(folder) / file.path).stat().st_ino for folder in folders}) == 1


def test_published_files_are_those_of_the_states(server: LiveServer, swapped: Any) -> None:
    folder = Path(swapped.local_path)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert present == {file.path for file in server.artifacts(swapped.name)}
    assert {"history/v001.json", "history/v002.json"} < present


def test_a_stack_of_another_server_takes_a_plate(server: LiveServer, tmp_path: Path) -> None:
    stack = write_stack(tmp_path / "s", width=INFO.default_width, height=INFO.default_height)
    plate = malformed_images.valid(tmp_path / "plate" / "p.1001.exr", 30, 20)
    upload_missing(server, plate.parent, file_records(plate.parent))
    spec = RerenderSpec("replace", ("bg",), plate=Plate("mine", "ACEScg", "opaque", "fit"))
    upload_missing(server, tmp_path / "s", source_files(stack, affected_layers(spec, stack)))
    inputs = {"mine": image_input(plate.parent)}
    job = server.wait_for_end(rerender(server, spec, tmp_path / "s", inputs=inputs).name)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job.error
    result = read(Path(job.local_path))
    assert not inspect(Path(job.local_path), result).problems
    assert result.layer("bg").source == "plate"


def test_a_watch_sends_progress_and_previews(done: list[Any]) -> None:
    stages = {update.job.progress.stage for update in done}
    assert {"load", "decode"} <= stages
    fractions = [update.job.progress.fraction for update in done]
    assert fractions == sorted(fractions)
    assert done[-1].preview.data.startswith(b"\x89PNG")


def test_server_info_names_the_model(server: LiveServer, done: list[Any]) -> None:
    (model,) = server_info(server).models
    assert (model.name, model.max_foregrounds) == (INFO.name, INFO.max_foregrounds)
    assert len(model.digest) == 64


def test_a_job_without_memory_fails_with_the_numbers_and_its_worker_is_replaced(
    server: LiveServer, done: list[Any]
) -> None:
    worker = server.worker()
    limit = _data_bytes(worker) + SPARE_MIB * MIB
    worker.rlimit(resource.RLIMIT_DATA, (limit, limit))
    job = server.wait_for_end(submit(server, width=256, height=256, frames=17).name)
    assert (job.state, job.error.reason) == (jobs_pb2.JOB_STATE_FAILED, "OUT_OF_MEMORY")
    gib = limit / 2**30
    assert re.search(rf"cpu has {gib:.1f} GiB, of which 0\.\d were free", job.error.message)
    assert re.search(r"It takes about \d+\.\d GiB\.$", job.error.message)
    assert "--fit" in job.error.hint
    assert job.attempt == 1
    assert server.unpublished_files() == []
    again = server.wait_for_end(submit(server, seed=3).name)
    assert server.worker().pid != worker.pid
    first, second = (read(Path(each.local_path)) for each in (done[-1].job, again))
    for name in ("bg", "fg_01", "shadow_01"):  # the same seed, in another process
        assert first.layer(name).files == second.layer(name).files


def _data_bytes(process: psutil.Process) -> int:
    """Return what the system counts for ``RLIMIT_DATA``."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(re.findall(r"VmData:\s*(\d+) kB", status)[0])


def test_a_new_worker_goes_on_after_the_steps_that_were_kept(server: LiveServer) -> None:
    whole = server.wait_for_end(submit(server, seed=3, steps=60).name)
    job = submit(server, seed=3, steps=60)
    server.wait(job.name, lambda job: job.progress.stage == "denoise" and job.progress.done >= 15)
    server.worker().kill()
    second = server.wait(job.name, lambda job: job.attempt == 2 and at("denoise")(job))
    assert second.progress.done > SAVE_STEPS
    again = server.wait_for_end(job.name)
    assert again.state == jobs_pb2.JOB_STATE_SUCCEEDED
    first, after = (read(Path(j.local_path)) for j in (whole, again))
    assert [layer.files for layer in first.layers] == [layer.files for layer in after.layers]
    present = {file.name for file in Path(again.local_path).iterdir()}
    assert SCRATCH_FOLDER not in present


@pytest.mark.parametrize("stage", ["denoise", "decode"])
def test_cancel_takes_effect_within_two_seconds(server: LiveServer, stage: str) -> None:
    long = {"steps": 500} if stage == "denoise" else {"steps": 1, "frames": 17, "width": 256}
    job = submit(server, **long, **({"height": 256} if stage == "decode" else {}))
    server.wait(job.name, at(stage))
    cancelled = time.monotonic()
    server.cancel(job.name)
    job = server.wait_for_end(job.name)
    assert time.monotonic() - cancelled < 2 * busy_share()
    assert job.state == jobs_pb2.JOB_STATE_CANCELLED
    assert server.unpublished_files() == []


def test_a_full_disk_is_a_clear_failure(server: LiveServer) -> None:
    if not server.data.parent.is_mount():
        pytest.skip("only root can mount the small file system that this test fills")
    ballast = server.data.parent / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(server.data).free - ROOM_MIB * MIB))
    job = server.wait_for_end(submit(server, steps=1, frames=17, width=256, height=256).name)
    assert (job.state, job.error.reason) == (jobs_pb2.JOB_STATE_FAILED, "DISK_FULL")
    assert server.unpublished_files() == []
    ballast.unlink()
    assert server.wait_for_end(submit(server).name).state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_one_foreground_too_many_is_refused(server: LiveServer) -> None:
    with pytest.raises(Exception, match="foreground"):
        submit(server, foreground_prompts=["a fox", "a car"])
