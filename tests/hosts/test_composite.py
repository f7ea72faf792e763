"""A layer stack in Blender's compositor equals numpy's over of the same files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import pytest

from fakes.live_server import LiveServer
from hosts.blenders import REPOSITORY, Blender, build_once
from hosts.images import Image, over, read_rgba, write_small_stack
from layert2v.stack import Stack, frame_path, read

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

TOLERANCE = 1e-6
SAMPLE = "0hy8oo_w57g_0042"
PROMPT = "a red fox running through a snowy forest at sunset"


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def program(name: str) -> Path:
    """Return a console script of the environment that runs the tests."""
    return Path(sys.executable).with_name(name)


@pytest.fixture(scope="module")
def imported(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Import ordinary 8-bit films as a stack."""
    clip = shared_dir / "samples" / SAMPLE
    films = {
        "--full": "full_video", "--background": "background",
        "--foreground": "foreground", "--matte": "mask",
    }  # fmt: skip
    arguments = [part for option, film in films.items() for part in (option, clip / f"{film}.mp4")]
    command = (program("layert2v-engine"), "import", *arguments, "--out")
    return build_once(tmp_path_factory.getbasetemp(), "imported", lambda out: run(*command, out))


@pytest.fixture(scope="module")
def generated(mini_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the stack of ``make demo``."""
    address = mini_server.ready["address"]
    command = (program("layert2v"), "generate", PROMPT, "--server", address, "--out")
    return build_once(tmp_path_factory.getbasetemp(), "generated", lambda out: run(*command, out))


def render(blender: Blender, folder: Path, out: Path, **extra: str) -> Stack:
    paths = {"PYTHONPATH": str(REPOSITORY / "proto")}
    blender.run("blender_composite.py", folder, out, **paths, **extra)
    return read(folder)


def frames(stack: Stack) -> range:
    return range(stack.start_frame, stack.start_frame + stack.frames)


def expected_images(stack: Stack, folder: Path, frame: int) -> dict[str, Image]:
    sequences = (*stack.layers, *stack.flats)
    return {one.name: read_rgba(folder / frame_path(one.pattern, frame)) for one in sequences}


def largest_difference(stack: Stack, folder: Path, out: Path) -> float:
    """Compare all frames of every layer, flattened sequence and the comp that Blender made."""
    worst = 0.0
    for frame in frames(stack):
        expected = expected_images(stack, folder, frame)
        expected["over"] = over([expected[layer.name] for layer in stack.layers])
        for name, pixels in expected.items():
            seen = read_rgba(out / f"{name}.{frame:04d}.exr")
            worst = max(worst, float(np.abs(seen - pixels).max()))
    return worst


@pytest.mark.parametrize("start_frame", [1, 1001])
def test_a_small_stack_composites_to_the_same_pixels(
    bare_blender: Blender, tmp_path: Path, start_frame: int
) -> None:
    folder, out = tmp_path / "stack", tmp_path / "out"
    write_small_stack(folder, colorspace="lin_rec709_scene", start_frame=start_frame)
    stack = render(bare_blender, folder, out)
    assert largest_difference(stack, folder, out) <= TOLERANCE
    first, second = (read_rgba(out / f"over.{frame:04d}.exr") for frame in frames(stack)[:2])
    assert np.abs(first - second).max() > 0.01  # so a wrong frame would have been seen


@pytest.mark.parametrize("source", ["imported", "generated"])
def test_a_delivered_stack_composites_to_the_same_pixels(
    bare_blender: Blender, tmp_path: Path, source: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(source)
    stack = render(bare_blender, folder, tmp_path)
    assert [layer.name for layer in stack.layers][:1] == ["bg"]
    assert largest_difference(stack, folder, tmp_path) <= TOLERANCE


def test_the_stack_s_color_space_is_set_and_not_guessed(
    bare_blender: Blender, tmp_path: Path
) -> None:
    folder, out = tmp_path / "stack", tmp_path / "out"
    stack = write_small_stack(folder, colorspace="lin_ap1_scene", start_frame=1001)
    render(bare_blender, folder, out)
    config = ocio.Config.CreateFromBuiltinConfig("ocio://default")
    to_blender = config.getProcessor("lin_ap1_scene", "lin_rec709_scene").getDefaultCPUProcessor()
    expected = expected_images(stack, folder, 1001)["bg"]
    unconverted = expected.copy()
    to_blender.apply(ocio.PackedImageDesc(expected, stack.width, stack.height, 4))
    seen = read_rgba(out / "bg.1001.exr")
    # Blender 4 rounds the matrix in its own configuration: 1.7e-3 at 9.8; 5.0 is 1.5e-7 off.
    assert np.abs(seen - expected).max() < 5e-3 < np.abs(unconverted - expected).max()


@pytest.mark.parametrize(
    ("name", "colorspace", "local"),
    [
        ("cg-config-v2.1.0_aces-v1.3_ocio-v2.3", "lin_rec709_scene", "Linear Rec.709 (sRGB)"),
        ("studio-config-v2.1.0_aces-v1.3_ocio-v2.3", "lin_ap1_scene", "ACEScg"),
    ],
)
def test_a_studio_s_configuration_composites_in_its_own_working_space(
    bare_blender: Blender, tmp_path: Path, name: str, colorspace: str, local: str
) -> None:
    """``$OCIO`` names the spaces otherwise than Blender does, and works in ACEScg."""
    config = ocio.Config.CreateFromBuiltinConfig(name)
    (tmp_path / "studio.ocio").write_text(config.serialize(), encoding="utf-8")
    folder, out = tmp_path / "stack", tmp_path / "out"
    write_small_stack(folder, colorspace=colorspace, start_frame=1001)
    stack = render(bare_blender, folder, out, OCIO=str(tmp_path / "studio.ocio"))
    to_working = config.getProcessor(local, "scene_linear").getDefaultCPUProcessor()
    expected = expected_images(stack, folder, 1001)
    for pixels in expected.values():
        to_working.apply(ocio.PackedImageDesc(pixels, stack.width, stack.height, 4))
    expected["over"] = over([expected[layer.name] for layer in stack.layers])
    for one, pixels in expected.items():
        seen = read_rgba(out / f"{one}.1001.exr")
        assert np.abs(seen - pixels).max() < 1e-4, one
