"""Jobs that re-render a stack, against a real server with a real worker process."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from fakes import malformed_images
from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, error_detail, live_server, wait_until
from fakes.sample_stacks import write_stack
from fakes.stack_requests import (
    FOX,
    file_records,
    find_missing,
    image_input,
    rerender,
    sha256_of,
    upload,
    upload_missing,
)
from layert2v import stack as manifest
from layert2v.rerender import (
    DonorLayer,
    Plate,
    RerenderSpec,
    affected_layers,
    donor_files,
    source_files,
)
from layert2v.stack import FileRecord
from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2
from layert2v.wire import rerender_from_message
from layert2v_server.auth import make_token

SUCCEEDED, FAILED = jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_FAILED
CANCELLED = jobs_pb2.JOB_STATE_CANCELLED
ANNA, ANNA_ENTRY = make_token("anna")
BERT, BERT_ENTRY = make_token("bert")
PLATE = RerenderSpec("replace", ("bg",), plate=Plate("mine", "ACEScg"))
SLOW = Behaviour(step_s=0.05, frame_s=0.1)


def files_for(spec: RerenderSpec, stack: manifest.Stack) -> tuple[FileRecord, ...]:
    return source_files(stack, affected_layers(spec, stack))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("rerender")
    (folder / "tokens").write_text(f"{ANNA_ENTRY.line()}\n{BERT_ENTRY.line()}\n")
    with live_server(folder / "data", token_file=str(folder / "tokens")) as server:
        yield server


@pytest.fixture(autouse=True)
def anna(server: LiveServer) -> None:
    server.connect(ANNA)


@pytest.fixture(scope="module")
def fox(server: LiveServer) -> Any:
    server.connect(ANNA)
    return server.wait_for_end(server.submit(seed=3).name)


def refusal(call: Any) -> tuple[grpc.StatusCode, Any]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), error_detail(caught.value)


def folder_of(job: Any) -> Path:
    return Path(job.local_path)


def slow(spec: RerenderSpec = FOX) -> RerenderSpec:
    return replace(spec, prompts={spec.layers[0]: SLOW.to_prompt()}, steps=20)


def test_one_layer_is_generated_and_the_others_are_shared(server: LiveServer, fox: Any) -> None:
    job = server.wait_for_end(rerender(server, FOX, fox.name).name)
    assert (job.state, job.kind, job.source) == (SUCCEEDED, jobs_pb2.JOB_KIND_RERENDER, fox.name)
    old, new = manifest.read(folder_of(fox)), manifest.read(folder_of(job))
    assert new.layer("bg") == old.layer("bg")
    versions = [new.layer(name).version for name in ("bg", "shadow_01", "fg_01")]
    assert (versions, new.flat("comp").version) == ([1, 2, 2], 2)
    for file in new.layer("bg").files:
        inodes = [(folder_of(each) / file.path).stat().st_ino for each in (fox, job)]
        assert inodes[0] == inodes[1]
    filled = rerender_from_message(job.rerender)
    assert (filled.at, filled.model, filled.steps) == (1, "mini", 4)
    assert filled.seed is not None


def test_its_artifacts_are_all_states_and_their_manifests(server: LiveServer, fox: Any) -> None:
    job = server.wait_for_end(rerender(server, FOX, fox.name).name)
    paths = [file.path for file in server.artifacts(job.name)]
    new, old = manifest.read(folder_of(job)), manifest.read(folder_of(fox))
    kept = ["history/v001.json", "history/v002.json", "stack.json"]
    all_files = dict.fromkeys(file.path for file in (*new.files(), *old.files()))
    assert paths == [*all_files, *kept]
    assert manifest.read_state(folder_of(job), 1) == old


def test_states_stay_when_the_jobs_that_made_them_are_deleted(server: LiveServer) -> None:
    first = server.wait_for_end(server.submit(seed=31).name)
    files = manifest.read(folder_of(first)).files()
    second = server.wait_for_end(rerender(server, FOX, first.name).name)
    third = server.wait_for_end(rerender(server, FOX, second.name).name)
    for job in (first, second):
        server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=job.name))
    assert all((folder_of(third) / file.path).is_file() for file in files)
    again = server.wait_for_end(rerender(server, replace(FOX, at=1), third.name).name)
    assert again.state == SUCCEEDED, again.error


def test_a_rerender_of_a_rerender_and_of_the_first_state(server: LiveServer, fox: Any) -> None:
    second = server.wait_for_end(rerender(server, FOX, fox.name).name)
    background = RerenderSpec("regenerate", ("bg",), at=1)
    third = server.wait_for_end(rerender(server, background, second.name).name)
    assert third.state == SUCCEEDED, third.error
    stack = manifest.read(folder_of(third))
    assert [layer.version for layer in stack.layers] == [2, 1, 1]
    assert [entry.parent for entry in stack.history] == [0, 1, 1]
    assert stack.flat("comp").version == 3


def test_the_same_spec_gives_the_same_files(server: LiveServer, fox: Any) -> None:
    jobs = [
        server.wait_for_end(rerender(server, replace(FOX, seed=9), fox.name).name) for _ in range(2)
    ]
    first, second = ([file.sha256 for file in server.artifacts(job.name)] for job in jobs)
    assert first == second


def test_one_request_is_one_job(server: LiveServer, fox: Any) -> None:
    request_id = str(uuid.uuid4())
    first = rerender(server, FOX, fox.name, request_id=request_id)
    assert rerender(server, FOX, fox.name, request_id=request_id).name == first.name
    other = replace(FOX, layers=("bg",))
    code, error = refusal(lambda: rerender(server, other, fox.name, request_id=request_id))
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    server.wait_for_end(first.name)


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (replace(FOX, layers=("fg_05",)), "layers", "there are: bg, shadow_01, fg_01"),
        (replace(FOX, at=7), "at", "no state v007"),
        (replace(FOX, model="wan"), "model", "'wan' is not here"),
        (PLATE, "inputs[mine]", "has none"),
    ],
)
def test_wrong_fields_are_named_and_nothing_is_written(
    server: LiveServer, fox: Any, spec: RerenderSpec, field: str, words: str
) -> None:
    before = sorted(server.data.glob("jobs/*"))
    code, error = refusal(lambda: rerender(server, spec, fox.name))
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SPEC")
    assert error.violations[0].field == field
    assert words in error.violations[0].message
    assert sorted(server.data.glob("jobs/*")) == before


def test_inputs_must_be_what_the_request_says(server: LiveServer, fox: Any, tmp_path: Path) -> None:
    malformed_images.valid(tmp_path / "a.exr")
    mine, empty = image_input(tmp_path), jobs_pb2.InputFiles(list=jobs_pb2.FileList())
    stack = jobs_pb2.InputFiles(job=fox.name)
    for inputs, words in (
        ({"mine": empty}, "no pictures in this input"),
        ({"mine": stack}, "must be pictures"),
        ({"mine": mine, "more": mine}, "names the input 'more'"),
    ):
        _, error = refusal(lambda inputs=inputs: rerender(server, PLATE, fox.name, inputs=inputs))
        assert words in error.message
    _, error = refusal(
        lambda: rerender(server, PLATE, fox.name, inputs={"mine": jobs_pb2.InputFiles()})
    )
    assert error.reason == "INVALID_ARGUMENT"


def test_a_source_that_is_deleted_or_not_ready_is_refused(server: LiveServer, fox: Any) -> None:
    gone = server.wait_for_end(server.submit().name)
    server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=gone.name))
    code, error = refusal(lambda: rerender(server, FOX, gone.name))
    assert (code, error.reason) == (grpc.StatusCode.NOT_FOUND, "SOURCE_NOT_FOUND")
    busy = server.submit(behaviour=SLOW, steps=1000)
    code, error = refusal(lambda: rerender(server, FOX, busy.name))
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SOURCE_NOT_READY")
    server.cancel(busy.name)
    server.wait_for_end(busy.name)


def test_a_source_may_be_deleted_while_the_job_waits(server: LiveServer) -> None:
    first = server.wait_for_end(server.submit().name)
    busy = server.submit(behaviour=SLOW, steps=8)
    waiting = rerender(server, FOX, first.name)
    server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=first.name))
    job = server.wait_for_end(waiting.name)
    assert job.state == SUCCEEDED, job.error
    stack = manifest.read(folder_of(job))
    assert all((folder_of(job) / file.path).is_file() for file in stack.files())
    server.wait_for_end(busy.name)


def test_files_of_other_users_are_not_found(server: LiveServer, fox: Any) -> None:
    hashes = sorted({file.sha256 for file in server.artifacts(fox.name)})
    assert find_missing(server, hashes) == []
    mine = upload(server, b"anna's")
    server.connect(BERT)
    assert find_missing(server, [*hashes, mine.sha256]) == [*hashes, mine.sha256]
    code, error = refusal(lambda: rerender(server, FOX, fox.name))
    assert (code, error.reason) == (grpc.StatusCode.NOT_FOUND, "SOURCE_NOT_FOUND")
    server.connect(ANNA)
    assert find_missing(server, [mine.sha256, "0" * 64]) == ["0" * 64]


def test_the_number_of_hashes_is_limited(server: LiveServer) -> None:
    request = artifacts_pb2.FindFilesRequest(sha256=[f"{k:064x}" for k in range(20_001)])
    code, _ = refusal(lambda: server.call(server.files.FindFiles, request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert len(find_missing(server, request.sha256[:20_000])) == 20_000


def test_an_uploaded_stack(server: LiveServer, tmp_path: Path) -> None:
    stack = write_stack(tmp_path / "s", width=64, height=64, frames=5)
    code, error = refusal(lambda: rerender(server, FOX, tmp_path / "s"))
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FILES_MISSING")
    assert "stack/bg/v001/bg_v001.1001.exr" in error.message
    assert "12 more" in error.message
    assert upload_missing(server, tmp_path / "s", files_for(FOX, stack)) == 15
    assert upload_missing(server, tmp_path / "s", files_for(FOX, stack)) == 0
    job = server.wait_for_end(rerender(server, FOX, tmp_path / "s").name)
    assert (job.state, job.source) == (SUCCEEDED, "small"), job.error
    assert manifest.read(folder_of(job)).layer("bg") == stack.layer("bg")


def test_an_older_state_of_an_uploaded_stack(server: LiveServer, tmp_path: Path) -> None:
    first = write_stack(tmp_path / "s", width=64, height=64, frames=5)
    entry = manifest.HistoryEntry("remove", "2026-01-02T03:04:05Z", {}, {}, parent=1)
    second = replace(first, layers=first.layers[:1], history=(*first.history, entry))
    manifest.write(second, tmp_path / "s")
    upload_missing(server, tmp_path / "s", files_for(FOX, first))
    older = replace(FOX, at=1)
    _, error = refusal(lambda: rerender(server, older, tmp_path / "s"))
    assert error.reason == "STATE_NOT_FOUND"
    kept = (tmp_path / "s" / "history" / "v001.json").read_text()
    job = server.wait_for_end(rerender(server, older, tmp_path / "s", state=kept).name)
    assert job.state == SUCCEEDED, job.error
    assert manifest.read(folder_of(job)).history[-1].parent == 1


def input_file(path: Path, name: str) -> jobs_pb2.InputFile:
    return jobs_pb2.InputFile(path=name, size_bytes=path.stat().st_size, sha256=sha256_of(path))


def test_earlier_states_of_an_uploaded_stack_are_kept(server: LiveServer, tmp_path: Path) -> None:
    # A name of its own: no other test has uploaded the same manifest to this server.
    first = write_stack(tmp_path / "s", name="older", width=64, height=64, frames=5)
    entry = manifest.HistoryEntry("remove", "2026-01-02T03:04:05Z", {}, {}, parent=1)
    manifest.write(replace(first, history=(*first.history, entry)), tmp_path / "s")
    upload_missing(server, tmp_path / "s", first.files())
    old = tmp_path / "s" / "history" / "v001.json"
    kept = input_file(old, "history/v001.json")
    _, error = refusal(lambda: rerender(server, FOX, tmp_path / "s", kept=[kept]))
    assert (error.reason, "history/v001.json" in error.message) == ("FILES_MISSING", True)
    upload(server, old.read_bytes())
    job = server.wait_for_end(rerender(server, FOX, tmp_path / "s", kept=[kept]).name)
    assert job.state == SUCCEEDED, job.error
    assert manifest.read_state(folder_of(job), 1) == first
    assert all((folder_of(job) / file.path).is_file() for file in first.files())


@pytest.mark.parametrize("name", ["history/v002.json", "../v001.json"])
def test_a_kept_manifest_must_have_the_path_of_its_state(
    server: LiveServer, tmp_path: Path, name: str
) -> None:
    write_stack(tmp_path / "s")
    upload(server, (tmp_path / "s" / "stack.json").read_bytes())
    kept = input_file(tmp_path / "s" / "stack.json", name)
    code, error = refusal(lambda: rerender(server, FOX, tmp_path / "s", kept=[kept]))
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "STATE_INVALID")


def test_a_malformed_manifest_is_refused(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"schema": "something"}')
    code, error = refusal(lambda: rerender(server, FOX, tmp_path))
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NOT_A_STACK")


def test_a_plate_and_a_donor(server: LiveServer, fox: Any, tmp_path: Path) -> None:
    plate = malformed_images.valid(tmp_path / "plate" / "p.0001.exr")
    upload_missing(server, plate.parent, file_records(plate.parent))
    inputs = {"mine": image_input(plate.parent)}
    swapped = server.wait_for_end(rerender(server, PLATE, fox.name, inputs=inputs).name)
    assert swapped.state == SUCCEEDED, swapped.error
    assert manifest.read(folder_of(swapped)).layer("bg").source == "plate"
    owl = server.wait_for_end(server.submit(seed=8).name)
    spec = RerenderSpec("replace", ("fg_01",), donor=DonorLayer("owl", "fg_01"))
    mixed = rerender(server, spec, fox.name, inputs={"owl": jobs_pb2.InputFiles(job=owl.name)})
    assert server.wait_for_end(mixed.name).state == SUCCEEDED


def test_an_uploaded_donor(server: LiveServer, fox: Any, tmp_path: Path) -> None:
    stack, donor = write_stack(tmp_path / "s"), DonorLayer("other", "fg_01", with_shadow=True)
    text = (tmp_path / "s" / "stack.json").read_text(encoding="utf-8")
    inputs = {"other": jobs_pb2.InputFiles(manifest=text)}
    assert upload_missing(server, tmp_path / "s", donor_files(donor, stack)) > 0
    spec = RerenderSpec("replace", ("fg_01",), donor=donor)
    job = server.wait_for_end(rerender(server, spec, fox.name, inputs=inputs).name)
    assert job.state == SUCCEEDED, job.error
    wrong = replace(spec, donor=DonorLayer("other", "fg_09"))
    _, error = refusal(lambda: rerender(server, wrong, fox.name, inputs=inputs))
    assert "has no layer 'fg_09'; it has: bg, shadow_01, fg_01" in error.message


@pytest.mark.parametrize(
    "make", [malformed_images.deep, malformed_images.truncate, malformed_images.not_an_image]
)
def test_malformed_images_are_refused(
    server: LiveServer, fox: Any, tmp_path: Path, make: Any
) -> None:
    make(tmp_path / "plate.exr")
    upload_missing(server, tmp_path, file_records(tmp_path))
    job = server.wait_for_end(
        rerender(server, PLATE, fox.name, inputs={"mine": image_input(tmp_path)}).name
    )
    assert (job.state, job.error.reason, job.attempt) == (FAILED, "PICTURE_REFUSED", 1)
    assert "plate.exr cannot be used" in job.error.message
    assert server.artifacts(job.name) == []
    wait_until(lambda: source_folders(server, job.name) == [])


def source_folders(server: LiveServer, name: str) -> list[Path]:
    return list((server.data / name).glob("source"))


def test_sources_are_deleted_when_jobs_end(server: LiveServer, fox: Any) -> None:
    done = server.wait_for_end(rerender(server, FOX, fox.name).name)
    wait_until(lambda: source_folders(server, done.name) == [])
    busy = server.submit(behaviour=SLOW, steps=1000)
    waiting = rerender(server, FOX, fox.name)
    assert len(source_folders(server, waiting.name)) == 1
    assert server.cancel(waiting.name).state == CANCELLED
    assert source_folders(server, waiting.name) == []
    server.cancel(busy.name)
    server.wait_for_end(busy.name)


def test_cancel_of_a_running_rerender(server: LiveServer, fox: Any) -> None:
    job = rerender(server, slow(), fox.name)
    server.wait(job.name, lambda job: job.progress.stage == "decode")
    server.cancel(job.name)
    assert server.wait_for_end(job.name).state == CANCELLED
    wait_until(lambda: server.unpublished_files() == source_folders(server, job.name) == [])
    stack = manifest.read(folder_of(fox))
    assert all((folder_of(fox) / file.path).is_file() for file in stack.files())


@pytest.mark.parametrize("stage", ["denoise", "decode"])
def test_a_rerender_survives_the_kill_of_its_worker(
    server: LiveServer, fox: Any, stage: str
) -> None:
    calm = server.wait_for_end(rerender(server, replace(slow(), seed=5), fox.name).name)
    job = rerender(server, replace(slow(), seed=5), fox.name)
    server.wait(job.name, lambda job: job.progress.stage == stage)
    server.worker().kill()
    shaken = server.wait_for_end(job.name)
    assert (shaken.state, shaken.attempt) == (SUCCEEDED, 2)
    files = [[(f.path, f.sha256) for f in server.artifacts(j.name)] for j in (calm, shaken)]
    assert files[0] == files[1]
    assert server.unpublished_files() == []


def test_a_copied_result_needs_no_upload(server: LiveServer, fox: Any, tmp_path: Path) -> None:
    shutil.copytree(folder_of(fox), tmp_path / "copy")
    stack = manifest.read(tmp_path / "copy")
    assert upload_missing(server, tmp_path / "copy", files_for(FOX, stack)) == 0
    job = server.wait_for_end(rerender(server, FOX, tmp_path / "copy").name)
    assert (job.state, job.source) == (SUCCEEDED, "shot"), job.error


def test_shared_files_count_once(server: LiveServer, fox: Any) -> None:
    def used() -> int:
        info = server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest())
        return int(info.storage.used_bytes)

    before = used()
    job = server.wait_for_end(rerender(server, replace(FOX, seed=77), fox.name).name)
    assert used() - before < job.artifact_bytes


@pytest.mark.parametrize("field", ["latents", "previews"])
def test_what_was_published_as_another_kind_of_file_is_decoded_as_a_plate(
    server: LiveServer, fox: Any, tmp_path: Path, field: str
) -> None:
    folder, plates = tmp_path / "stack", tmp_path / "plates"
    shutil.copytree(fox.local_path, folder)
    evil = malformed_images.truncate(plates / f"plate.{field}.exr").read_bytes()
    record = {"path": "extra/bg.mp4", "size_bytes": len(evil), "sha256": sha256_of_bytes(evil)}
    manifest = json.loads((folder / "stack.json").read_text())
    manifest[field].append(record)
    (folder / "stack.json").write_text(json.dumps(manifest))
    upload(server, evil)
    remove = RerenderSpec("remove", ("fg_01",))
    job = server.wait_for_end(rerender(server, remove, folder).name)
    assert job.state == SUCCEEDED, job.error
    published = {file.sha256 for file in server.artifacts(job.name)}
    assert record["sha256"] in published
    server.call(server.files.DeleteUploads, artifacts_pb2.DeleteUploadsRequest(all=True))
    assert find_missing(server, [str(record["sha256"])]) == []  # the job's file is found instead
    inputs = {"mine": image_input(plates)}
    job = server.wait_for_end(rerender(server, PLATE, fox.name, inputs=inputs).name)
    assert (job.state, job.error.reason) == (FAILED, "PICTURE_REFUSED")


def sha256_of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
