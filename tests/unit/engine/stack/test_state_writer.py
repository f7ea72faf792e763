from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.ocio_configs import STUDIO
from fakes.sample_stacks import (
    HEIGHT,
    WIDTH,
    disc,
    fill,
    gradient,
    read_exr,
    read_rgba,
    write_stack,
    writer,
)
from layert2v import stack as contract
from layert2v.stack import Role
from layert2v_engine.errors import ColorError, StackError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.exr_header import COMPRESSIONS, RESERVED_NAMES, ExrOptions
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter


def frame(folder: Path, name: str, number: int = 1001) -> np.ndarray:
    return read_rgba(folder / name / "v001" / f"{name}_v001.{number}.exr")


def linear_over(layers: list[np.ndarray]) -> np.ndarray:
    """Half layers from bottom to top, as any host would lay them over each other in float."""
    pixels = layers[0].astype(np.float32)
    for layer in layers[1:]:
        top = layer.astype(np.float32)
        pixels = top + pixels * (1 - top[..., 3:])
    return pixels.astype(np.float16)


@pytest.mark.parametrize("codec", COMPRESSIONS)
def test_comp_is_exactly_the_over_of_the_delivered_layers(tmp_path: Path, codec: str) -> None:
    result = write_stack(tmp_path / "s", exr=ExrOptions(compression=codec))
    for number in (1001, 1002):
        layers = [frame(tmp_path / "s", layer.name, number) for layer in result.layers]
        assert np.array_equal(frame(tmp_path / "s", "comp", number), linear_over(layers))


def test_color_is_linearised_before_it_is_premultiplied(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    code, alpha = (1 - gradient()).double(), disc().double()
    toe = code / 12.92
    linear = torch.where(code <= 0.04045, toe, ((code + 0.055) / 1.055) ** 2.4)
    expected = torch.cat((linear * alpha, alpha[None])).movedim(0, -1)
    result = torch.from_numpy(frame(tmp_path / "s", "fg_01")).double()
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-3)


def test_background_comp_and_ref_are_opaque(tmp_path: Path) -> None:
    write_stack(tmp_path / "s")
    for name in ("bg", "comp", "ref"):
        assert (frame(tmp_path / "s", name)[..., 3] == 1.0).all()


def test_alpha_is_one_inside_and_empty_pixels_are_black(tmp_path: Path) -> None:
    """Polarity: a matte is never turned round."""
    write_stack(tmp_path / "s")
    result = frame(tmp_path / "s", "fg_01")
    assert result[HEIGHT // 2, WIDTH // 2, 3] == 1.0
    assert (result[0, 0] == 0.0).all()


def test_red_stays_red(tmp_path: Path) -> None:
    with writer(tmp_path / "s", frames=1) as stack_writer:
        fill_one(
            stack_writer, torch.tensor([1.0, 0.25, 0.0])[:, None, None].expand(3, HEIGHT, WIDTH)
        )
    red, green, blue, _ = frame(tmp_path / "s", "bg")[0, 0]
    assert red > green > blue == 0.0


def fill_one(stack_writer: StackWriter, picture: torch.Tensor) -> None:
    """Return the only frame of all layers, with ``picture`` as background."""
    stack_writer.write_frame("bg", 0, picture)
    stack_writer.write_frame("shadow_01", 0, None, torch.zeros(HEIGHT, WIDTH))
    stack_writer.write_frame("fg_01", 0, gradient(), torch.zeros(HEIGHT, WIDTH))
    stack_writer.finish()


def test_nothing_passes_through_eight_bits(tmp_path: Path) -> None:
    ramp = torch.linspace(0.5, 0.51, HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).expand(3, -1, -1)
    with writer(tmp_path / "s", frames=1) as stack_writer:
        fill_one(stack_writer, ramp)
    assert len(np.unique(frame(tmp_path / "s", "bg")[..., 0])) > 30  # 8 bits would leave 4


def test_bright_and_broken_values_become_finite_half(tmp_path: Path) -> None:
    picture = gradient()
    picture[:, 0, 0], picture[:, 0, 1], picture[:, 0, 2] = 1e6, float("nan"), -0.02
    with writer(tmp_path / "s", frames=1) as stack_writer:
        fill_one(stack_writer, picture)
    first = frame(tmp_path / "s", "bg")
    assert np.isfinite(first).all()
    assert first[0, 0, 0] == 65504.0
    assert first[0, 1, 0] == 0.0
    assert -0.01 < first[0, 2, 0] < 0.0  # a little below black is not an error


def test_an_empty_layer_is_written_like_any_other(tmp_path: Path) -> None:
    """Nuke reads the channel list from one frame of a sequence."""
    with writer(tmp_path / "s", frames=1) as stack_writer:
        fill_one(stack_writer, gradient())
    header, planes = read_exr(tmp_path / "s/fg_01/v001/fg_01_v001.1001.exr")
    assert set(planes) == set("RGBA")
    assert not any(plane.any() for plane in planes.values())
    assert header["layert2v/layer"] == "fg_01"


@pytest.mark.parametrize(("domain", "expected"), [("linear", 0.6), ("display", 1 - 0.4**2.2)])
def test_the_shadow_domain_decides_about_its_opacity(
    tmp_path: Path, domain: str, expected: float
) -> None:
    write_stack(tmp_path / "s", shadow_domain=domain)
    shadow = frame(tmp_path / "s", "shadow_01")
    assert shadow[..., 3].max() == pytest.approx(expected, abs=5e-4)
    assert not shadow[..., :3].any()


def test_files_say_what_they_are(tmp_path: Path) -> None:
    write_stack(tmp_path / "s", colorspace="ACEScg", tags={"model": "mini"})
    header, _ = read_exr(tmp_path / "s/bg/v001/bg_v001.1002.exr")
    assert header["colorInteropID"] == "lin_ap1_scene"
    assert header["imageCounter"] == 1002
    assert header["comments"] == "a forest"
    assert header["layert2v/seed"] == str(2**60 + 1)
    assert header["layert2v/role"] == "background"
    assert header["layert2v/model"] == "mini"
    assert header["layert2v/input_transform"].startswith("srgb_rec709_scene to ACEScg (studio")


def test_the_manifest_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    result = write_stack(tmp_path / "s")
    assert contract.read(tmp_path / "s") == result
    on_disk = {path for path in (tmp_path / "s").rglob("*") if path.is_file()}
    named = {tmp_path / "s" / file.path for file in result.files()}
    manifests = {tmp_path / "s" / name for name in ("stack.json", contract.state_path(1))}
    assert on_disk == named | manifests
    for file in result.files():
        data = (tmp_path / "s" / file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)


def test_the_manifest_keeps_order_and_origin(tmp_path: Path) -> None:
    result = write_stack(tmp_path / "s")
    assert [layer.name for layer in result.layers] == ["bg", "shadow_01", "fg_01"]
    assert [flat.name for flat in result.flats] == ["comp", "ref"]
    assert result.layer("shadow_01").caster == "fg_01"
    assert {layer.source for layer in result.layers} == {"generated"}
    assert result.history[0].versions == {"bg": 1, "shadow_01": 1, "fg_01": 1, "comp": 1, "ref": 1}
    assert [file.path for file in result.previews] == [
        "preview/v001/contact.png",
        "preview/v001/preview.mp4",
    ]


def test_frames_may_come_in_any_order_and_files_do_not_depend_on_it(tmp_path: Path) -> None:
    straight = write_stack(tmp_path / "a", frames=3)
    with writer(tmp_path / "b", frames=3, workers=4) as stack_writer:
        for index in (2, 0, 1):
            stack_writer.write_ref(index, gradient())
            stack_writer.write_frame("fg_01", index, 1 - gradient(), disc())
        for index in (1, 2, 0):
            stack_writer.write_frame("bg", index, gradient(shift=0.1 * index))
            stack_writer.write_frame("shadow_01", index, None, 0.6 * disc().roll((2, 3), (0, 1)))
        mixed = stack_writer.finish(Provenance(prompt="a fox in a forest", seed=7))
    assert [file.sha256 for file in mixed.flat("comp").files] == [
        file.sha256 for file in straight.flat("comp").files
    ]


def test_latents_saved_beside_are_recorded(tmp_path: Path) -> None:
    with writer(tmp_path / "s") as stack_writer:
        stack_writer.latents_path("bg").parent.mkdir()
        stack_writer.latents_path("bg").write_bytes(b"latents")
        fill(stack_writer)
        stack = stack_writer.finish()
    assert [file.path for file in stack.latents] == ["latents/bg_v001.safetensors"]
    assert stack.latents_of("bg") == stack.latents[0]


def test_a_stack_needs_no_ref(tmp_path: Path) -> None:
    with writer(tmp_path / "s", frames=1) as stack_writer:
        fill_one(stack_writer, gradient())
    assert [flat.name for flat in contract.read(tmp_path / "s").flats] == ["comp"]


def test_frames_are_announced_on_the_callers_thread_when_they_are_whole(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def announce(name: str, index: int, path: Path) -> None:
        assert read_rgba(path).shape == (HEIGHT, WIDTH, 4)
        seen.append((name, index))

    write_stack(tmp_path / "s", on_frame_written=announce)
    assert seen[:4] == [("bg", 0), ("shadow_01", 0), ("fg_01", 0), ("ref", 0)]
    assert seen[-2:] == [("comp", 0), ("comp", 1)]


def test_progress_of_finish_counts_up_and_may_stop_it(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    with writer(tmp_path / "s") as stack_writer:
        fill(stack_writer)
        stack_writer.finish(progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 3), (1, 3), (2, 3)]


def test_a_hosts_config_gives_the_color_space(tmp_path: Path) -> None:
    path = tmp_path / "studio.ocio"
    path.write_text(STUDIO)
    config = ColorConfig.load(path)
    result = write_stack(tmp_path / "s", config=config, colorspace="Show Linear")
    assert result.colorspace == "lin_ap1_scene"
    own = write_stack(tmp_path / "t", config=config, colorspace="Dimmed Linear")
    assert own.colorspace == "unknown"
    assert read_exr(tmp_path / "t/bg/v001/bg_v001.1001.exr")[0]["colorInteropID"] == "unknown"


def test_a_space_that_is_not_linear_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ColorError):
        writer(tmp_path / "s", colorspace="srgb_rec709_scene")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "name",
    ["0", "1_fg", "fg.01", "fg 01", "Fg", "fg-01", "größe", "", *sorted(RESERVED_NAMES), "bg"],
)
def test_names_that_a_host_would_change_are_refused(tmp_path: Path, name: str) -> None:
    """Nuke strips leading digits, maps other characters to ``_`` and owns some layer names."""
    with writer(tmp_path / "s") as result, pytest.raises(StackError) as caught:
        result.add_layer(name, Role.foreground)
    assert caught.value.reason == "LAYER_NAME"


def test_frame_numbers_beyond_four_digits_and_zero(tmp_path: Path) -> None:
    result = write_stack(tmp_path / "s", start_frame=99_999)
    assert result.layer("bg").files[-1].path == "bg/v001/bg_v001.100000.exr"
    write_stack(tmp_path / "t", start_frame=0)
    assert (tmp_path / "t/bg/v001/bg_v001.0000.exr").is_file()
