"""The command line that writes a stack as a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fakes.nk_evaluate import Evaluator
from fakes.nk_reader import read
from fakes.nk_stacks import numpy_over
from fakes.sample_stacks import write_stack
from layert2v import stack as manifest
from layert2v_nuke.script import main


def test_the_command_line_needs_the_standard_library_alone(foxes: Path, tmp_path: Path) -> None:
    out = tmp_path / "shot.nk"
    command = [sys.executable, "-m", "layert2v_nuke.script", str(foxes), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    parsed = read(out.read_text(encoding="utf-8"))
    wanted = numpy_over(manifest.read(foxes), foxes, 1001)
    image = Evaluator(1001).render(parsed.nodes[-1])
    assert image is not None
    assert np.abs(image.rgba() - wanted).max() <= 1e-6
    assert parsed.find("Read_bg").knobs["raw"].text == "true"
    assert parsed.find("Read_bg").knobs["label"].text == "raw: Linear Rec.709 (sRGB)"


def test_the_command_line_names_the_color_space(foxes: Path, tmp_path: Path) -> None:
    out = tmp_path / "shot.nk"
    assert main([str(foxes), "--out", str(out), "--node", "--colorspace", "ACES - ACEScg"]) == 0
    inner = read(out.read_text(encoding="utf-8")).find("LayerT2V1").nodes
    spaces = {one.knobs["colorspace"].text for one in inner if one.cls == "Read"}
    assert spaces == {"ACES - ACEScg"}


def test_no_stack_is_one_sentence_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "shot.nk")]) == 1
    assert "There is no stack.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nuke_would_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fox [python nuke.quit()]"
    write_stack(folder)
    assert main([str(folder), "--out", str(tmp_path / "shot.nk")]) == 1
    assert "reads the character '['" in capsys.readouterr().err
    assert not (tmp_path / "shot.nk").exists()
