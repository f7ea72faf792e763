"""The server's data that v0.1 left: its jobs are told, fetched, gone on from and run to the end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.live_server import LiveServer, live_server
from fakes.recorded import TOKEN, check_states, copy_of, data_folder, run
from layert2v import stack
from layert2v_client import Client, GenerateSpec, JobFailed, JobState, RerenderSpec, connect

FOX = GenerateSpec(prompt="a red fox in the snow", seed=7, frames=1, width=64, height=64, steps=4)
FIRST_ID = uuid.UUID("00000000-0000-4000-8000-000000000001")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    data = data_folder(tmp_path)
    with live_server(data, token_file=str(data / "tokens.txt")) as running:
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    with connect(server.ready["address"], TOKEN) as connected:
        yield connected


def test_every_job_is_there(client: Client) -> None:
    running, cancelled, failed, drawn, made = client.jobs()
    ended = [job.state for job in (made, drawn, failed, cancelled)]
    assert ended == [JobState.succeeded, JobState.succeeded, JobState.failed, JobState.cancelled]
    assert (made.spec.prompt, made.spec.seed, made.owner) == (FOX.prompt, FOX.seed, "ada")
    assert (running.spec.prompt, cancelled.spec.steps) == ("a lost fox", 1000)
    assert failed.error is not None
    assert (failed.error.reason, failed.error.hint) == ("NO_SUCH_WORD", "Use another word.")
    assert drawn.rerender is not None
    assert (drawn.rerender.action, drawn.rerender.layers) == ("regenerate", ("fg_01",))
    assert drawn.rerender.prompts == {"fg_01": "a grey wolf"}
    assert (drawn.rerender.seed, drawn.source) == (11, made.name)
    assert (made.artifact_count, drawn.artifact_count) == (8, 14)


def test_finished_stacks_are_fetched(client: Client, tmp_path: Path) -> None:
    *_, drawn, made = client.jobs([JobState.succeeded])
    check_states(client.job(made.name).download(tmp_path / "made"), 1)
    folder = client.job(drawn.name).download(tmp_path / "drawn")
    check_states(folder, 2)
    assert stack.read(folder).layer("fg_01").prompt == "a grey wolf"


def test_the_same_request_is_the_same_job(client: Client) -> None:
    *_, made = client.jobs()
    assert client.submit(FOX, FIRST_ID).name == made.name


def test_a_job_that_ran_when_the_server_died_runs_again(client: Client, tmp_path: Path) -> None:
    interrupted = client.job(next(client.jobs()).name)
    assert interrupted.wait().state is JobState.succeeded
    check_states(interrupted.download(tmp_path / "fox"), 1)


def test_a_finished_job_is_gone_on_from(client: Client, tmp_path: Path) -> None:
    *_, made = client.jobs([JobState.succeeded])
    again = client.rerender(made.name, RerenderSpec("regenerate", ("bg",), seed=3))
    assert again.wait().state is JobState.succeeded
    check_states(again.download(tmp_path / "second"), 2)


def test_images_that_may_be_uploads_are_decoded_before_use(client: Client) -> None:
    # v0.1 did not keep which images of a re-render were uploads. These are noise, no EXR.
    *_, drawn, _ = client.jobs([JobState.succeeded])
    again = client.rerender(drawn.name, RerenderSpec("regenerate", ("bg",), seed=3))
    with pytest.raises(JobFailed, match="shadow_01_v002"):
        again.wait()


def test_the_command_line_lists_and_fetches(server: LiveServer, tmp_path: Path) -> None:
    config = copy_of("layert2v.toml", tmp_path)
    text = config.read_text().replace("render01:7433", server.ready["address"])
    config.write_text(text)  # the token comes from the file, too
    lines = run("layert2v", "jobs", LAYERT2V_CONFIG=str(config)).splitlines()
    [name] = [line.split()[0] for line in lines if "re-render" in line or "fg_01" in line]
    run("layert2v", "fetch", name, "--out", tmp_path / "fox", LAYERT2V_CONFIG=str(config))
    check_states(tmp_path / "fox", 2)
