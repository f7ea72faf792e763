"""Jobs about footage, from a client through a real server to its worker process."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest

from fakes import footage
from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, wait_until
from fakes.recorded_session import RecordedSession
from layert2v import stack
from layert2v.decompose import (
    REFINE_ACTION,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
    decompose_from_json,
)
from layert2v_client import Client, InvalidRequest, JobCancelled, JobFailed
from layert2v_client.cli import main
from layert2v_client.session import RequestSucceeded, SessionSettings

_colors = itertools.count()


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """Return three frames of footage that no other test has."""
    save = footage.save_png(footage.flat(next(_colors)))
    return footage.sequence(tmp_path / "plates", save, name="shot.100{}.png")


@pytest.fixture
def shot(client: Client, plates: Path, tmp_path: Path) -> Path:
    """Return the folder of a decomposed stack."""
    job = client.decompose(plates)
    job.wait()
    return job.download(tmp_path / "shot")


def behaving(**behaviour: object) -> DecomposeSpec:
    words = Behaviour(**behaviour).to_prompt()  # type: ignore[arg-type]
    return DecomposeSpec((SubjectSpec(words),))


def test_footage_becomes_a_stack_with_its_numbers(
    client: Client, plates: Path, tmp_path: Path
) -> None:
    job = client.decompose(plates, DecomposeSpec(first=1002, last=1003))
    with job.watch() as updates:
        seen = [(each.status, each.preview) for each in updates]
    assert any(preview is not None for _, preview in seen)
    status, _ = seen[-1]
    assert status.decompose is not None
    assert (status.decompose.name, status.source) == ("plates", "plates")
    made = stack.read(job.download(tmp_path / "shot"))
    assert (made.start_frame, made.frames, made.name) == (1002, 2, "plates")
    entry = made.history[0]
    assert entry.action == "decompose"
    assert decompose_from_json(entry.spec).first == 1002


def test_a_movie_is_decoded_before_the_engine_sees_it(
    client: Client, tmp_path: Path, live: LiveServer
) -> None:
    movie = footage.save_video(tmp_path / "dog.mov", [footage.flat(k) for k in range(4)])
    job = client.decompose(movie)
    job.wait()
    stacks = stack.read(job.download(tmp_path / "dog"))
    assert stacks.start_frame == 1001


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"#EXTM3U\nfile:///etc/passwd\n", "no movie that can be read"),
        (b"\0\0\0\x20ftypisom" + bytes(500), "its frames cannot be read"),
    ],
)
def test_what_only_is_called_a_movie_is_refused(
    client: Client, tmp_path: Path, data: bytes, words: str
) -> None:
    (tmp_path / "evil.mov").write_bytes(data)
    with pytest.raises(JobFailed, match=words):
        client.decompose(tmp_path / "evil.mov").wait()


def test_finished_stages_outlive_a_worker_that_is_killed(
    client: Client, plates: Path, tmp_path: Path
) -> None:
    job = client.decompose(plates, behaving(fault="crash"))
    assert job.wait().attempt == 2
    made = stack.read(job.download(tmp_path / "shot"))
    assert made.history[0].note == ""  # the second attempt ran no stage again
    assert not list((tmp_path / "shot").glob(".*"))


def test_cancelling_leaves_nothing(client: Client, plates: Path, live: LiveServer) -> None:
    job = client.decompose(plates, behaving(step_s=0.5))
    with job.watch() as updates:
        next(each for each in updates if each.status.progress and each.status.progress.stage)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait()
    left = live.data / "jobs" / job.name.removeprefix("jobs/")
    wait_until(lambda: {path.name for path in left.iterdir()} <= {"preview.png"})


def test_errors_of_a_request_come_before_any_upload(client: Client, plates: Path) -> None:
    with pytest.raises(InvalidRequest, match="1001 to 1003, but 5 to 1003"):
        client.decompose(plates, DecomposeSpec(first=5))
    with pytest.raises(InvalidRequest, match="no pictures for 'roto'"):
        client.decompose(plates, DecomposeSpec((SubjectSpec(matte="roto"),)))


def test_another_matte_is_a_new_state(client: Client, shot: Path, plates: Path) -> None:
    job = client.refine(shot, RefineSpec("fg_01", "roto"), {"roto": plates})
    status = job.wait()
    assert status.changes_stack
    assert status.refine == RefineSpec("fg_01", "roto", at=1)
    refined = job.merge_into(shot)
    assert (refined.state, refined.history[-1].action) == (2, REFINE_ACTION)
    assert refined.history[-1].note == "3 mattes"
    assert (refined.layer("fg_01").version, refined.layer("bg").version) == (2, 1)


def test_points_correct_the_matte_of_a_layer(client: Client, shot: Path) -> None:
    points = (Point(1001, 3.5, 4.5), Point(1002, 1.0, 2.0, is_subject=False))
    status = client.refine(shot, RefineSpec("fg_01", points=points), {}).wait()
    assert status.refine == RefineSpec("fg_01", points=points, at=1)


def test_only_foregrounds_are_refined(client: Client, shot: Path, plates: Path) -> None:
    with pytest.raises(InvalidRequest, match="no foreground 'bg'; foregrounds are: fg_01"):
        client.refine(shot, RefineSpec("bg", "roto"), {"roto": plates})


def test_a_session_decomposes_and_refines(live: LiveServer, plates: Path, tmp_path: Path) -> None:
    settings = SessionSettings(server=live.ready["address"], cache=tmp_path / "cache")
    with RecordedSession(settings) as session:
        spec = DecomposeSpec(footage=Footage(start_frame=7))
        session.session.decompose(spec, {"footage": [str(plates)]})
        first = session.wait(RequestSucceeded)
        folder = Path(first.folder)
        assert folder.name.startswith("plates_")
        session.session.refine(folder, RefineSpec("fg_01", "roto"), {"roto": [str(plates)]})
        assert session.wait(RequestSucceeded).state == 2


def test_the_command_line(
    live: LiveServer, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()

    def call(*words: str) -> int:
        args = main.parser().parse_args([*words, "--server", live.ready["address"]])
        return main.run(args, {}, out, err)

    assert call("decompose", "plates/shot.####.png", "--frames", "1001-1002") == 0, err.getvalue()
    assert out.getvalue() == "shot_001\n"
    assert call("refine", "shot_001", "--layer", "fg_01", "--matte", "plates") == 0, err.getvalue()
    assert stack.read(tmp_path / "shot_001").state == 2
    assert call("decompose", "plates", "--frames", "1-2") == 2
    assert "The footage has the frames 1001 to 1003" in err.getvalue()
