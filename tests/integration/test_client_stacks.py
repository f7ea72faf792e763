"""Stacks that are changed: by the command line and by sessions, on a real server, and landed."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

import OpenImageIO as oiio
import pytest
from PIL import Image

from fakes.bridge_process import BridgeProcess
from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, environment, live_server
from fakes.recorded_session import RecordedSession, fake_server_config
from layert2v import stack
from layert2v.rerender import Plate, RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.wire import CHUNK_BYTES
from layert2v_client import Cancelled, Client, NotPossible, TransferOptions, connect, stack_history
from layert2v_client.cli import main
from layert2v_client.session import (
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    SessionSettings,
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("live") / "data") as server:
        yield server


@pytest.fixture
def client(live: LiveServer) -> Iterator[Client]:
    with connect(live.ready["address"]) as connected:
        yield connected


@pytest.fixture
def fox(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new stack, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # The seed differs: with equal ones the server would hold what another test has made.
    job = client.submit(GenerateSpec(prompt="a fox", seed=uuid.uuid4().int % 2**31))
    job.wait()
    return job.download(tmp_path / "fox")


def call(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    out, err = io.StringIO(), io.StringIO()
    code = main.run(main.parser().parse_args(arguments), environment or {}, out, err)
    return code, out.getvalue(), err.getvalue()


def change(live: LiveServer, *arguments: str) -> tuple[int, str, str]:
    return call(*arguments, "--server", live.ready["address"])


def content(folder: Path) -> dict[str, str]:
    """The hash of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def whole(folder: Path, states: int) -> None:
    """Every state has its manifest and its files, with the right content."""
    here = content(folder)
    for state in range(1, states + 1):
        made = stack.read_state(folder, state)
        assert made.state == state
        assert {file.path: file.sha256 for file in made.files()}.items() <= here.items()
    assert stack.read(folder).state == states
    assert not [path for path in here if Path(path).name.startswith(".")]


def again(**more: object) -> RerenderSpec:
    return RerenderSpec(**{"action": "regenerate", "layers": ("fg_01",), **more})


def test_one_layer_again(live: LiveServer, fox: Path) -> None:
    before = content(fox)
    words = ("rerender", "fox", "--layer", "fg_01", "--prompt", "a fox, sitting", "--seed", "5")
    code, out, err = change(live, *words)
    assert (code, out) == (0, "fox\n"), err
    assert "v002: " in err
    assert "fg_01 v002" in err
    del before["stack.json"]
    assert before.items() <= content(fox).items()
    made = stack.read(fox)
    versions = {layer.name: layer.version for layer in made.layers}
    assert versions == {"bg": 1, "shadow_01": 2, "fg_01": 2}
    assert made.layer("fg_01").prompt == "a fox, sitting"
    whole(fox, 2)


def test_every_command(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    (tmp_path / "plate").mkdir()
    for frame in range(5):
        Image.new("RGB", (64, 64)).save(tmp_path / "plate" / f"my plate {frame}.png")
    for words in (
        ("swap", "fox", "--background", "a moonlit desert"),
        ("swap", "fox", "--plate", "plate", "--colorspace", "sRGB - Texture"),
        ("add", "fox", "--prompt", "an owl", "--below", "fg_01", "--seed", "3"),
        ("reorder", "fox", "fg_02", "fg_01"),
        ("remove", "fox", "--layer", "fg_02"),
        ("mix", "fox:fg_01", "fox", "--above", "bg"),
        ("rerender", "fox", "--layer", "fg_01", "--freeze", "shadow_01", "--at", "v001"),
    ):
        code, _, err = change(live, *words)
        assert code == 0, (words, err)
    whole(fox, 8)
    code, out, _ = call("history", "fox")
    rows = [row.split() for row in out.splitlines()]
    assert code == 0
    assert [row[1] for row in rows] == [
        "generate", "regenerate", "replace", "add", "reorder", "remove", "add", "regenerate"
    ]  # fmt: skip
    assert out.splitlines()[1].endswith("a moonlit desert")
    assert rows[-1][2:4] == ["from", "v001"]
    made = stack.read(fox).history
    assert (made[3].spec["above"], made[-1].parent, made[-1].spec["frozen"]) == (
        "bg", 1, ["shadow_01"]
    )  # fmt: skip


def test_open_an_earlier_state(live: LiveServer, fox: Path) -> None:
    change(live, "swap", "fox", "--background", "the moon")
    before = content(fox)
    code, out, err = call("open", "fox", "--at", "v001")
    assert (code, out, err) == (0, "fox\n", "v003 has the layers of v001\n")
    made = stack.read(fox)
    assert [layer.version for layer in made.layers] == [1, 1, 1]
    assert (made.history[-1].action, made.history[-1].parent) == ("open", 1)
    added = set(content(fox)) - set(before)
    assert added == {"history/v003.json"}
    whole(fox, 3)
    change(live, "rerender", "fox", "--layer", "bg")
    assert stack.read(fox).layer("bg").version == 3
    whole(fox, 4)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("rerender fox --layer fg_07", "  --layer: There is no layer 'fg_07'; there are: bg, "),
        ("remove fox --layer bg", "  --layer: The background cannot be removed"),
        ("reorder fox fg_02", "  L: There is no layer 'fg_02'; there are: bg, "),
        ("swap fox --background=", "  --background: A prompt must say something"),
        ("add fox --prompt owl --freeze fg_02", "fg_01. The new ones are fg_02 and shadow_02."),
        ("rerender fox --layer fg_01 --at v009", "  --at: There is no state v009"),
        ("rerender fox --layer fg_01 --strength 2", "  --strength: The strength must be"),
        ("swap fox --plate none", "layert2v: none cannot be read: No such file or directory."),
        ("swap fox --plate empty", "layert2v: There are no pictures in empty. Give a folder"),
        ("add fox --prompt owl --below bg", "There is no layer 'bg' to put it below; choose from:"),
        ("mix empty:fg_01 fox", "layert2v: There is no stack.json in empty."),
        ("mix fg_01 fox", "layert2v: 'fg_01' names no layer of a stack. Write it as STACK:LAYER"),
        ("mix fox:fg_05 fox", "  A:LAYER: The other stack has no layer 'fg_05'"),
        ("rerender empty --layer fg_01", "layert2v: There is no stack.json in empty."),
        ("rerender gone --layer fg_01", "layert2v: gone is neither a folder nor a job."),
        ("rerender jobs/x --layer fg_01", "There is no job 'jobs/x'"),
        ("rerender fox --layer bg fg_01", "unrecognized"),
        ("rerender fox --layer bg --prompt a --prompt b", "Give --prompt once for each --layer"),
        ("rerender fox --layer fg_01 --model wan", "  --model: "),
        ("open fox --at v004", "There is no state v004 in fox; the newest is v001."),
        ("history empty", "layert2v: There is no stack.json in empty."),
    ],
)
def test_one_sentence_and_nothing_written(
    live: LiveServer, fox: Path, words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (fox.parent / "empty").mkdir()
    before = content(fox.parent)
    try:
        code, out, err = change(live, *words.split())
    except SystemExit as ended:
        code, out, err = int(ended.code or 0), "", capsys.readouterr().err
    assert (code, out) == (2, ""), err
    assert sentence in err
    assert content(fox.parent) == before


def test_out_changes_a_copy(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    before = content(fox)
    words = ("swap", "fox", "--background", "a city", "--out", "city")
    assert change(live, *words)[:2] == (0, "city\n")
    assert content(fox) == before
    whole(tmp_path / "city", 2)
    frame = "fg_01/v001/fg_01_v001.1001.exr"
    assert (tmp_path / "city" / frame).samefile(fox / frame)
    assert change(live, *words)[0] == 2  # the copy is there


def test_a_job_for_a_stack(live: LiveServer, client: Client, fox: Path) -> None:
    name = next(client.jobs()).name
    code, out, err = change(live, "swap", name, "--background", "a city", "--out", "city")
    assert (code, out) == (0, "city\n"), err
    whole(Path("city"), 2)
    assert call("swap", name, "--background", "x")[2].startswith("layert2v: No server is named")
    assert change(live, "history", name)[1].startswith("v001  generate")


def with_pictures(folder: Path) -> Path:
    """The same stack, but of real pictures, which a server reads when they are brought."""
    made = stack.read(folder)
    spec = oiio.ImageSpec(made.width, made.height, 4, "half")
    spec.attribute("compression", "none")  # so that all have one size
    picture = oiio.ImageBuf(spec)
    for file in made.files():
        if file.path.endswith(".exr"):
            grey = zlib.crc32(file.path.encode()) / 2**32  # each file its own
            oiio.ImageBufAlgo.fill(picture, (grey, grey, grey, 1.0))
            assert picture.write(str(folder / file.path))
    text = (folder / "stack.json").read_text()
    for file in made.files():
        path = folder / file.path
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        text = text.replace(file.sha256, digest)
        text = text.replace(
            f'"size_bytes": {file.size_bytes}', f'"size_bytes": {path.stat().st_size}'
        )
    (folder / "stack.json").write_text(text)
    (folder / stack.state_path(made.state)).write_text(text)
    return folder


def test_a_stack_from_elsewhere(fox: Path, tmp_path: Path) -> None:
    """Another server, another place: its files are brought."""
    shutil.move(with_pictures(fox), tmp_path / "moved")
    with live_server(tmp_path / "other" / "data") as other:
        code, _, err = change(other, "rerender", "moved", "--layer", "fg_01")
        assert code == 0, err
    whole(tmp_path / "moved", 2)


def test_every_state_of_a_stack_from_elsewhere(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    """They go along with a job, so that its stack is the whole one wherever it is fetched."""
    with_pictures(fox)
    assert call("open", "fox", "--at", "v001")[0] == 0
    with live_server(tmp_path / "other" / "data") as other, connected_to(other) as there:
        assert change(other, "remove", "fox", "--layer", "fg_01")[0] == 0
        job = next(there.jobs())
        assert change(other, "swap", job.name, "--background", "a city", "--out", "city")[0] == 0
        assert change(other, "fetch", job.name, "--out", "same")[0] == 0
    whole(tmp_path / "same", 3)
    whole(tmp_path / "city", 4)
    assert call("open", "city", "--at", "v001")[0] == 0
    whole(tmp_path / "city", 5)


def test_states_whose_files_are_gone_are_marked(
    live: LiveServer, fox: Path, tmp_path: Path
) -> None:
    with_pictures(fox)
    assert change(live, "swap", "fox", "--background", "a city")[0] == 0
    with_pictures(fox)
    (fox / "bg/v001/bg_v001.1001.exr").unlink()
    (fox / "bg/v001/bg_v001.1002.exr").write_bytes(b"painted over")
    assert [row.endswith("[files are not here]") for row in rows_of("fox")] == [True, False]
    with live_server(tmp_path / "third" / "data") as third, connected_to(third) as there:
        assert change(third, "remove", "fox", "--layer", "fg_01")[0] == 0
        code, _, err = change(third, "fetch", next(there.jobs()).name, "--out", "same")
    assert (code, "v001 cannot be opened in same: the server lacks" in err) == (0, True), err
    closed = [row.endswith("[files are not here]") for row in rows_of("same")]
    assert closed == [True, False, False]


def rows_of(folder: str) -> list[str]:
    return call("history", folder)[1].splitlines()


def connected_to(server: LiveServer) -> Client:
    return connect(server.ready["address"])


def test_a_lost_picture_is_named(fox: Path, tmp_path: Path) -> None:
    (fox / "bg/v001/bg_v001.1003.exr").unlink()
    with live_server(tmp_path / "other" / "data") as other:
        code, _, err = change(other, "rerender", "fox", "--layer", "fg_01")
    assert code == 2
    assert "fox lacks 1 of its files, such as bg/v001/bg_v001.1003.exr." in err


def test_a_picture_that_was_painted_over_is_named(fox: Path, tmp_path: Path) -> None:
    (fox / "bg/v001/bg_v001.1003.exr").write_bytes(b"x" * 1000)
    with live_server(tmp_path / "other" / "data") as other:
        code, _, err = change(other, "rerender", "fox", "--layer", "fg_01")
    assert code == 2
    assert "bg_v001.1003.exr is not the file any more that it was." in err


def test_an_own_server_for_a_folder(
    fox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pictures(fox)
    config = fake_server_config(tmp_path)
    config.write_text(config.read_text() + f'\n[client]\ndata = "{tmp_path / "own"}"\n')
    monkeypatch.setenv("LAYERT2V_CONFIG", str(config))
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    known = {"LAYERT2V_CONFIG": str(config)}
    code, _, err = call("rerender", "fox", "--layer", "fg_01", environment=known)
    assert code == 0, err
    whole(fox, 2)


def test_states_made_at_once_get_numbers_of_their_own(client: Client, fox: Path) -> None:
    """Two changes of one state, and a third of the same layer: all land, in any order."""
    jobs = [client.rerender(fox, again(seed=k)) for k in (1, 2)]
    jobs.append(client.rerender(fox, again(layers=("bg",))))
    for job in jobs:
        job.wait()
    landed = [job.merge_into(fox).state for job in reversed(jobs)]
    assert landed == [2, 3, 4]
    assert stack.read_state(fox, 2).layer("fg_01").version == 1
    assert stack.read_state(fox, 3).layer("fg_01").version == 2
    assert stack.read(fox).layer("fg_01").version == 3
    assert stack.read(fox).history[-1].versions["fg_01"] == 3
    assert [entry.parent for entry in stack.read(fox).history] == [0, 1, 1, 1]
    whole(fox, 4)
    before = content(fox)
    assert [job.merge_into(fox).state for job in reversed(jobs)] == [2, 3, 4]  # they are there
    assert content(fox) == before


def test_a_renumbered_state_is_changed_again(client: Client, fox: Path) -> None:
    first, second = (client.rerender(fox, again(seed=k)) for k in (1, 2))
    for job in (first, second):
        job.wait()
        job.merge_into(fox)
    third = client.rerender(fox, again(seed=3))
    third.wait()
    assert third.merge_into(fox).layer("fg_01").version == 4
    whole(fox, 4)


def test_a_state_is_merged_only_into_its_stack(client: Client, fox: Path, tmp_path: Path) -> None:
    job = client.rerender(fox, again())
    job.wait()
    other = client.submit(GenerateSpec(prompt="an owl", seed=1))
    other.wait()
    other.download(tmp_path / "owl")
    before = content(tmp_path / "owl")
    with pytest.raises(NotPossible, match="does not hold the stack"):
        job.merge_into(tmp_path / "owl")
    assert content(tmp_path / "owl") == before


def test_only_what_is_missing_travels(client: Client, fox: Path, tmp_path: Path) -> None:
    sent: list[int] = []
    options = TransferOptions(report=lambda done, total: sent.append(total))
    job = client.rerender(fox, again(), options=options)
    assert sent == []  # the server has made these files
    job.wait()
    made = job.merge_into(fox, options)
    new = [f.size_bytes for f in made.files() if "/v002/" in f.path or "_v002." in f.path]
    assert sent[-1] == sum(new)


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one picture that travels in several parts."""
    monkeypatch.setattr("layert2v_client.transfer.upload.SEGMENT_CHUNKS", 1)
    (tmp_path / "plate").mkdir()
    Image.effect_noise((2200, 2200), uuid.uuid4().int % 90 + 10).save(tmp_path / "plate/a.png")
    return tmp_path / "plate"


SKY = RerenderSpec("replace", ("bg",), plate=Plate("plate", "sRGB - Texture", "opaque", "fit"))


def test_an_upload_continues_where_it_stopped(client: Client, fox: Path, plate: Path) -> None:
    request_id, stop, heard = uuid.uuid4(), threading.Event(), []

    def cut(done: int, total: int) -> None:
        heard.append(done)
        stop.set()

    with pytest.raises(Cancelled):
        client.prepare(
            fox, SKY, {"plate": plate}, request_id, TransferOptions(report=cut, stop=stop)
        )
    options = TransferOptions(report=lambda done, total: heard.append(done))
    client.prepare(fox, SKY, {"plate": plate}, request_id, options)
    assert heard[:2] == [CHUNK_BYTES, 2 * CHUNK_BYTES]
    heard.clear()
    client.prepare(fox, SKY, {"plate": plate}, uuid.uuid4(), options)
    assert heard == []  # another request finds it by its content


def settings(live: LiveServer, tmp_path: Path) -> SessionSettings:
    return SessionSettings(server=live.ready["address"], cache=tmp_path / "cache")


def test_a_session_changes_a_stack(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    with RecordedSession(settings(live, tmp_path)) as recorded:
        request = recorded.session.rerender(fox, again(), {})
        done = recorded.wait(RequestSucceeded)
        assert (done.request_id, done.folder, done.state) == (request, str(fox), 2)
        recorded.session.attach(request, done.job, fox)
        assert recorded.wait(RequestSucceeded).state == 2
        recorded.session.rerender(fox, again(layers=("fg_09",)), {})
        assert recorded.wait(RequestFailed).violations[0].field == "layers"
        recorded.session.rerender(tmp_path, again(), {})
        assert recorded.wait(RequestFailed).reason == "MANIFEST_NOT_FOUND"
    whole(fox, 2)


def test_cancel_while_a_plate_is_uploaded(
    live: LiveServer, fox: Path, plate: Path, tmp_path: Path
) -> None:
    before = content(fox)
    with RecordedSession(settings(live, tmp_path)) as recorded:
        request = recorded.session.rerender(fox, SKY, {"plate": [str(plate)]})
        recorded.state("uploading")
        recorded.session.cancel(request)
        assert recorded.wait(RequestCancelled) == RequestCancelled(request, "")
    assert content(fox) == before


def test_cancel_while_a_new_state_is_merged(
    live: LiveServer, fox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the new state stays, and nothing of the old ones goes."""
    before = content(fox)
    with RecordedSession(settings(live, tmp_path)) as recorded:
        download_files = stack_history.download_files

        def slow(*arguments: object) -> None:
            if len(arguments[3]) > 1:  # type: ignore[arg-type]  # not the manifest alone
                monkeypatch.setattr(stack_history, "download_files", download_files)
                download_files(*arguments[:3], arguments[3][:4], arguments[4])  # type: ignore
                recorded.session.cancel(request)
            download_files(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(stack_history, "download_files", slow)
        request = recorded.session.rerender(fox, again(), {})
        assert recorded.wait(RequestCancelled).request_id == request
    assert content(fox) == before


def test_the_bridge_is_killed_while_a_layer_is_generated(
    live: LiveServer, fox: Path, tmp_path: Path
) -> None:
    address = {"server": live.ready["address"], "cache": str(tmp_path / "cache")}
    prompts = {"fg_01": Behaviour(step_s=0.3).to_prompt()}
    spec = {"action": "regenerate", "layers": ["fg_01"], "prompts": prompts, "steps": 20}
    with BridgeProcess(log=tmp_path / "log") as before:
        before.call("connect", settings=address)
        before.call("rerender", folder=str(fox), spec=spec)
        running = before.event("RequestUpdated", state="running")
        before.kill()
    with BridgeProcess(log=tmp_path / "log") as after:
        after.call("connect", settings=address)
        known = {key: running[key] for key in ("request_id", "job")}
        after.call("attach", folder=str(fox), **known)
        assert after.event("RequestSucceeded", **known)["state"] == 2
        assert after.call("restore", folder=str(fox), state=1) == {"state": 3}
        assert len(after.call("history", folder=str(fox))["history"]) == 3
    whole(fox, 3)
