from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.sample_stacks import disc, gradient, read_exr, rgb_frame, write_stack, write_video
from layert2v import stack as contract
from layert2v_engine.cli.main import main


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Return the options of an import of three small clips."""
    pictures = {"background": gradient(), "foreground": gradient() * disc(), "matte": disc()}
    options = ["import", "--out", str(tmp_path / "out")]
    for name, picture in pictures.items():
        frames = [rgb_frame(picture.expand(3, -1, -1)) for _ in range(2)]
        path = tmp_path / f"{name}.mp4"
        write_video(path, frames, codec="libx264rgb", options={"qp": "0"})
        options += [f"--{name}", str(path)]
    return options


def test_import_makes_a_stack_that_inspect_finds_right(
    clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(clips) == 0
    assert "bg, fg_01 (bottom to top), 2 frames at 24 fps" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "out")]) == 0
    table = capsys.readouterr().out
    assert "comp is the over of its layers to the bit in 2 of 2 frames" in table
    assert table.rstrip().endswith("no problems")


def test_import_takes_its_options(clips: list[str], tmp_path: Path) -> None:
    choices = ["--name", "shot", "--fps", "23.976", "--start-frame", "1", "--compression", "dwaa"]
    assert main([*clips, *choices, "--colorspace", "ACEScg", "--edges", "black"]) == 0
    result = contract.read(tmp_path / "out")
    assert (result.name, result.fps, result.start_frame) == ("shot", 23.976, 1)
    header, _ = read_exr(tmp_path / "out/bg/v001/bg_v001.0001.exr")
    assert header["colorInteropID"] == "lin_ap1_scene"
    assert str(header["compression"]).endswith("DWAA_COMPRESSION")


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (["--colorspace", "ACEScct"], "not a scene-linear color space"),
        (["--colorspace", "nonsense"], "is not in studio-config"),
        (["--compression", "htj2k"], "is not a compression"),
        (["--config", "/nowhere.ocio"], "cannot be read"),
        (["--shadow", "-", "--shadow", "-"], "--shadow is given 2 times"),
        (["--full", "/nowhere.mp4"], "no video or image sequence at /nowhere.mp4"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    clips: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    choices: list[str],
    sentence: str,
) -> None:
    assert main([*clips, *choices]) == 2
    output = capsys.readouterr().err
    assert sentence in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


def test_inspect_answers_with_status_1_and_the_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(tmp_path)
    (tmp_path / "bg/v001/bg_v001.1001.exr").unlink()
    assert main(["inspect", str(tmp_path)]) == 1
    assert "1 problem:\n  bg/v001/bg_v001.1001.exr is missing." in capsys.readouterr().out


def test_inspect_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stack(tmp_path)
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["comp_exact_frames"], output["problems"]) == (2, [])
    assert output["sequences"][0]["name"] == "comp"


@pytest.mark.parametrize("command", ["inspect", "preview", "pack"])
def test_a_folder_without_a_stack_is_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, str(tmp_path)]) == 2
    assert "There is no stack.json" in capsys.readouterr().err


@pytest.mark.parametrize("length", [0, 100, 600])
def test_a_damaged_frame_is_one_clean_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], length: int
) -> None:
    write_stack(tmp_path)
    comp = tmp_path / "comp/v001/comp_v001.1001.exr"
    comp.write_bytes(comp.read_bytes()[:length])
    assert main(["preview", str(tmp_path)]) == 2
    output = capfd.readouterr().err
    assert f"{comp} cannot be read as a layer: " in output
    assert "EXR_ERR" not in output
    assert output.count("\n") == 1


def test_preview_writes_all_three_and_the_manifest_knows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(tmp_path)
    assert main(["preview", str(tmp_path)]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.split()]
    assert names == ["contact.png", "preview.mp4", "viewer.html"]
    assert [Path(each.path).name for each in contract.read(tmp_path).previews] == names
    assert main(["inspect", str(tmp_path)]) == 0


def test_pack_then_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stack(tmp_path)
    assert main(["pack", str(tmp_path), "--compression", "piz"]) == 0
    assert main(["inspect", str(tmp_path)]) == 0
    assert "2 of 2 frames are packed" in capsys.readouterr().out


def test_ocio_lists_names_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ocio"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ACEScg", "lin_ap1_scene", "linear"] in rows
