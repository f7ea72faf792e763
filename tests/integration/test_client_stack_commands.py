"""The commands that change stacks, on a real server."""

from __future__ import annotations

import hashlib
import io
import shutil
import zlib
from pathlib import Path

import OpenImageIO as oiio
import pytest
from PIL import Image

from fakes.live_server import LiveServer, environment, live_server
from fakes.recorded_session import fake_server_config
from fakes.stack_folders import assert_complete, file_hashes
from layert2v import stack
from layert2v_client import Client, connect
from layert2v_client.cli import main


def call(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    out, err = io.StringIO(), io.StringIO()
    code = main.run(main.parser().parse_args(arguments), environment or {}, out, err)
    return code, out.getvalue(), err.getvalue()


def change(live: LiveServer, *arguments: str) -> tuple[int, str, str]:
    return call(*arguments, "--server", live.ready["address"])


def test_one_layer_again(live: LiveServer, fox: Path) -> None:
    before = file_hashes(fox)
    words = ("rerender", "fox", "--layer", "fg_01", "--prompt", "a fox, sitting", "--seed", "5")
    code, out, err = change(live, *words)
    assert (code, out) == (0, "fox\n"), err
    assert "v002: " in err
    assert "fg_01 v002" in err
    del before["stack.json"]
    assert before.items() <= file_hashes(fox).items()
    made = stack.read(fox)
    versions = {layer.name: layer.version for layer in made.layers}
    assert versions == {"bg": 1, "shadow_01": 2, "fg_01": 2}
    assert made.layer("fg_01").prompt == "a fox, sitting"
    assert_complete(fox, 2)


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
    assert_complete(fox, 8)
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
    before = file_hashes(fox)
    code, out, err = call("open", "fox", "--at", "v001")
    assert (code, out, err) == (0, "fox\n", "v003 has the layers of v001\n")
    made = stack.read(fox)
    assert [layer.version for layer in made.layers] == [1, 1, 1]
    assert (made.history[-1].action, made.history[-1].parent) == ("open", 1)
    added = set(file_hashes(fox)) - set(before)
    assert added == {"history/v003.json"}
    assert_complete(fox, 3)
    change(live, "rerender", "fox", "--layer", "bg")
    assert stack.read(fox).layer("bg").version == 3
    assert_complete(fox, 4)


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
    before = file_hashes(fox.parent)
    try:
        code, out, err = change(live, *words.split())
    except SystemExit as error:
        code, out, err = int(error.code or 0), "", capsys.readouterr().err
    assert (code, out) == (2, ""), err
    assert sentence in err
    assert file_hashes(fox.parent) == before


def test_out_changes_a_copy(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    before = file_hashes(fox)
    words = ("swap", "fox", "--background", "a city", "--out", "city")
    assert change(live, *words)[:2] == (0, "city\n")
    assert file_hashes(fox) == before
    assert_complete(tmp_path / "city", 2)
    frame = "fg_01/v001/fg_01_v001.1001.exr"
    assert (tmp_path / "city" / frame).samefile(fox / frame)
    assert change(live, *words)[0] == 2  # the copy is there


def test_a_job_for_a_stack(live: LiveServer, client: Client, fox: Path) -> None:
    name = next(client.jobs()).name
    code, out, err = change(live, "swap", name, "--background", "a city", "--out", "city")
    assert (code, out) == (0, "city\n"), err
    assert_complete(Path("city"), 2)
    assert call("swap", name, "--background", "x")[2].startswith("layert2v: No server is named")
    assert change(live, "history", name)[1].startswith("v001  generate")


def with_pictures(folder: Path) -> Path:
    """Return the same stack of real pictures, which a server reads when they are brought."""
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
    assert_complete(tmp_path / "moved", 2)


def test_every_state_of_a_stack_from_elsewhere(live: LiveServer, fox: Path, tmp_path: Path) -> None:
    """They go along with a job, so that its stack is the whole one wherever it is fetched."""
    with_pictures(fox)
    assert call("open", "fox", "--at", "v001")[0] == 0
    with live_server(tmp_path / "other" / "data") as other, connected_to(other) as there:
        assert change(other, "remove", "fox", "--layer", "fg_01")[0] == 0
        job = next(there.jobs())
        assert change(other, "swap", job.name, "--background", "a city", "--out", "city")[0] == 0
        assert change(other, "fetch", job.name, "--out", "same")[0] == 0
    assert_complete(tmp_path / "same", 3)
    assert_complete(tmp_path / "city", 4)
    assert call("open", "city", "--at", "v001")[0] == 0
    assert_complete(tmp_path / "city", 5)


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
    assert_complete(fox, 2)
