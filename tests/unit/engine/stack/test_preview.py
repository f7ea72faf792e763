from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fakes.pictures import HEIGHT, WIDTH, gradient, write_stack
from layert2v.stack import Stack
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.video import open_clip
from layert2v_engine.stack import preview
from layert2v_engine.stack.viewer import write_viewer

# Runs in the page: every view's pixels, as JSON, in the document's title.
PROBE = """
<script>
(async () => {
  const grab = () => Array.from(context.getImageData(0, 0, width, height).data);
  const press = async (key, code, shiftKey) => {
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key, code, shiftKey, bubbles: true}));
    await drawing;
  };
  const seen = {};
  await show(); seen.comp = grab();
  await press("ArrowRight"); seen.next = grab();
  await press("Home"); await press("a"); seen.alpha = grab();
  await press("a"); await press("1", "Digit1", true); await press("a"); seen.foreground = grab();
  await press("a"); await press("0"); await press("3", "Digit3"); seen.without = grab();
  const out = document.createElement("pre");
  out.id = "probe"; out.textContent = JSON.stringify(seen);
  document.body.append(out);
})();
</script>
"""


def transform(stack: Stack) -> preview.ColorTransform:
    return preview.display_transform(stack, ColorConfig.load())


def code_values(picture: torch.Tensor) -> np.ndarray:
    return (picture.movedim(0, -1) * 255).round().numpy()


@pytest.mark.parametrize("colorspace", ["lin_rec709_scene", "lin_ap1_scene", "lin_rec2020_scene"])
def test_previews_show_the_colours_that_came_in(tmp_path: Path, colorspace: str) -> None:
    """Colorimetric there and back: no view transform darkens the picture."""
    made = write_stack(tmp_path, colorspace=colorspace)
    shown = preview.to_srgb_bytes(
        preview.load_frame(tmp_path, made.layer("bg"), 1001), transform(made)
    )
    assert np.abs(shown - code_values(gradient())).max() <= 1


def test_the_movie_is_tagged_and_coloured_as_bt709(tmp_path: Path) -> None:
    """FFmpeg's own conversion would use the BT.601 matrix under a BT.709 tag."""
    made = write_stack(tmp_path, width=64, height=48)
    clip = open_clip(tmp_path / preview.preview_folder(1) / preview.MOVIE)
    assert (clip.info.matrix, clip.info.full_range, clip.info.assumed) == ("bt709", False, ())
    assert clip.info.frames == made.frames
    wanted = preview.to_srgb_bytes(
        preview.load_frame(tmp_path, made.flat("comp"), 1001), transform(made)
    )
    factor = clip.info.height // made.height
    middle = next(iter(clip)).rgb.movedim(0, -1)[factor // 2 :: factor, factor // 2 :: factor]
    assert np.abs(middle.numpy() * 255 - wanted).mean() < 3.0


def test_the_movie_carries_all_colour_tags(tmp_path: Path) -> None:
    write_stack(tmp_path)
    with av.open(str(tmp_path / preview.preview_folder(1) / preview.MOVIE)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        assert ([int(tag) for tag in tags], context.name) == ([1, 1, 1], "h264")


def test_the_same_frames_give_the_same_movie(tmp_path: Path) -> None:
    made = write_stack(tmp_path, width=112, height=80, frames=9)
    again = (preview.write_movie(tmp_path, made, transform(made)) for _ in range(4))
    assert len({movie.read_bytes() for movie in again}) == 1


@pytest.mark.parametrize("size", [(27, 19), (401, 363), (1, 1)])
def test_odd_sizes_make_a_movie(tmp_path: Path, size: tuple[int, int]) -> None:
    write_stack(tmp_path, width=size[0], height=size[1], frames=1)
    assert open_clip(tmp_path / preview.preview_folder(1) / preview.MOVIE).info.frames == 1


@pytest.mark.parametrize(("frames", "columns"), [(1, 1), (3, 3), (17, 5)])
def test_the_contact_sheet_has_a_column_for_frames_from_first_to_last(
    tmp_path: Path, frames: int, columns: int
) -> None:
    write_stack(tmp_path, frames=frames)
    style = preview.SheetStyle()
    with Image.open(tmp_path / preview.preview_folder(1) / preview.CONTACT_SHEET) as sheet:
        cells = sheet.width - 2 * style.margin - style.label_width + style.gap
        assert cells // (style.cell_width + style.gap) == columns


def test_the_contact_sheet_shows_layers_over_a_checkerboard(tmp_path: Path) -> None:
    made = write_stack(tmp_path)
    board = preview.composite_on_checker(torch.zeros(HEIGHT, WIDTH, 4))
    assert len(board[..., 0].unique()) == 2
    opaque = preview.load_frame(tmp_path, made.layer("bg"), 1001)
    assert torch.equal(preview.composite_on_checker(opaque), opaque.float())


def test_long_prompts_and_missing_refs_fit_the_sheet(tmp_path: Path) -> None:
    made = write_stack(tmp_path)
    layers = tuple(replace(layer, prompt="a very long prompt " * 40) for layer in made.layers)
    plain = replace(made, prompt="word " * 400, layers=layers, flats=made.flats[:1])
    preview.write_contact_sheet(tmp_path, plain, transform(made))
    with Image.open(tmp_path / preview.preview_folder(1) / preview.CONTACT_SHEET) as sheet:
        assert sheet.mode == "RGB"


def page(folder: Path, **changes: str) -> tuple[Stack, str]:
    made = replace(write_stack(folder), **changes)
    return made, write_viewer(folder, made, transform(made)).read_text(encoding="utf-8")


def test_the_viewer_needs_nothing_but_itself(tmp_path: Path) -> None:
    _, text = page(tmp_path)
    assert "default-src 'none'" in text
    assert not re.findall(r"<[^>]*\b(?:src|href)\s*=", text)
    assert "://" not in text
    assert "{{" not in text


def test_the_viewer_holds_every_frame_of_every_layer(tmp_path: Path) -> None:
    made, text = page(tmp_path)
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert [layer["name"] for layer in data["layers"]] == ["bg", "shadow_01", "fg_01"]
    assert all(len(layer["frames"]) == made.frames for layer in [*data["layers"], data["ref"]])
    foreground = b64decode(data["layers"][2]["frames"][0].partition(",")[2])
    with Image.open(BytesIO(foreground)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (WIDTH, 2 * HEIGHT))


def test_text_of_the_artist_cannot_become_markup(tmp_path: Path) -> None:
    _, text = page(tmp_path, name="<b>x</b>", prompt="</script><script>alert(1)</script>")
    assert "<b>x" not in text
    assert "alert(1)</script>" not in text


def test_big_pictures_are_embedded_small(tmp_path: Path) -> None:
    made = write_stack(tmp_path, width=1400, height=40, frames=1)
    text = write_viewer(tmp_path, made, transform(made)).read_text(encoding="utf-8")
    assert '"width": 512, "height": 15' in text


def probed(browser: str, folder: Path) -> dict[str, list[int]]:
    """What the probe saw. Chromium's virtual time can run out while pictures are still decoded."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    for attempt in range(5):
        profile = f"--user-data-dir={folder / f'profile{attempt}'}"
        command = [browser, *flags, profile, "--dump-dom", (folder / "probe.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        answer = done.stdout.partition('id="probe">')[2].partition("</pre>")[0]
        if answer:
            return dict(json.loads(answer))
    pytest.skip("Chromium never waited for the viewer's pictures in five attempts")


def test_the_page_composites_what_the_files_hold(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here to open the viewer with")
    made, text = page(tmp_path)
    (tmp_path / "probe.html").write_text(text.replace("</body>", PROBE + "</body>"))
    seen = probed(browser, tmp_path)
    shots = {name: np.array(v).reshape(HEIGHT, WIDTH, 4)[..., :3] for name, v in seen.items()}
    for name, frame in (("comp", 1001), ("next", 1002)):
        wanted = preview.to_srgb_bytes(
            preview.load_frame(tmp_path, made.flat("comp"), frame), transform(made)
        )
        assert np.abs(shots[name] - wanted.astype(int)).max() <= 3
    alpha = preview.load_frame(tmp_path, made.layer("fg_01"), 1001)[..., 3].float().numpy() * 255
    assert (shots["alpha"] == 255).all()
    assert np.abs(shots["foreground"][..., 0] - alpha).max() <= 1
    assert np.abs(shots["without"][0, 0].astype(int) - shots["comp"][0, 0]).max() > 20
