"""The HTML viewer: one file, no network, the same composite."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fakes.sample_stacks import HEIGHT, WIDTH, write_stack, writer
from layert2v.stack import Stack
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.stack import preview
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.viewer import write_viewer, write_web_viewer
from layert2v_engine.stack.writer import StackWriter

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


def page(folder: Path, **changes: str) -> tuple[Stack, str]:
    result = replace(write_stack(folder), **changes)
    return result, write_viewer(folder, result, transform(result)).read_text(encoding="utf-8")


def test_the_viewer_of_a_web_server_has_no_inline_script(tmp_path: Path) -> None:
    result = replace(write_stack(tmp_path / "stack"), prompt="</script><b>{{SCRIPT}}")
    write_web_viewer(tmp_path / "stack", result, transform(result), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["index.html", "viewer.css", "viewer.js"]
    text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>", text) == [
        '<script type="application/json" id="data">',
        '<script src="viewer.js">',
    ]
    assert "<style" not in text
    assert "unsafe-inline" not in text
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data)["prompt"] == "</script><b>{{SCRIPT}}"


def test_the_viewer_needs_nothing_but_itself(tmp_path: Path) -> None:
    _, text = page(tmp_path)
    assert "default-src 'none'" in text
    assert not re.findall(r"<[^>]*\b(?:src|href)\s*=", text)
    assert "://" not in text
    assert "{{" not in text


def test_the_viewer_holds_every_frame_of_every_layer(tmp_path: Path) -> None:
    result, text = page(tmp_path)
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert [layer["name"] for layer in data["layers"]] == ["bg", "shadow_01", "fg_01"]
    assert all(len(layer["frames"]) == result.frames for layer in [*data["layers"], data["ref"]])
    foreground = b64decode(data["layers"][2]["frames"][0].partition(",")[2])
    with Image.open(BytesIO(foreground)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (WIDTH, 2 * HEIGHT))


def test_light_without_alpha_is_in_the_page_and_on_the_sheet(tmp_path: Path) -> None:
    """A flame adds light where its alpha is 0; the comp shows it, so every view must."""
    with writer(tmp_path, frames=1) as stack_writer:
        fill_background(stack_writer)
        flame = torch.zeros(HEIGHT, WIDTH, 4)
        flame[4:9, 4:9, 0] = 0.5
        stack_writer.write_pixels("fg_01", 0, flame.half())
        result = stack_writer.finish(Provenance())
    text = write_viewer(tmp_path, result, transform(result)).read_text(encoding="utf-8")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    embedded = b64decode(data["layers"][2]["frames"][0].partition(",")[2])
    codes = np.asarray(Image.open(BytesIO(embedded))).astype(float)
    red, alpha = codes[:HEIGHT][6, 6, 0] / 255, codes[HEIGHT:][6, 6, 0]
    assert alpha == 0
    assert ((red + 0.055) / 1.055) ** 2.4 == pytest.approx(0.5, abs=0.005)
    sheet = preview.composite_on_checker(flame)
    assert float(sheet[6, 6, 0] - sheet[6, 6, 1]) == pytest.approx(0.5)


def fill_background(stack_writer: StackWriter) -> None:
    stack_writer.write_frame("bg", 0, torch.full((3, HEIGHT, WIDTH), 0.2))
    stack_writer.write_frame("shadow_01", 0, None, torch.zeros(HEIGHT, WIDTH))


def test_text_of_the_artist_cannot_become_markup(tmp_path: Path) -> None:
    _, text = page(tmp_path, name="<b>x</b>", prompt="</script><script>alert(1)</script>")
    assert "<b>x" not in text
    assert "alert(1)</script>" not in text


def test_big_pictures_are_embedded_small(tmp_path: Path) -> None:
    result = write_stack(tmp_path, width=1400, height=40, frames=1)
    text = write_viewer(tmp_path, result, transform(result)).read_text(encoding="utf-8")
    assert '"width": 512, "height": 15' in text


def probe(browser: str, folder: Path) -> dict[str, list[int]]:
    """Return what the probe saw.

    Chromium's virtual time can run out while pictures are still decoded.
    """
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
    result, text = page(tmp_path)
    (tmp_path / "probe.html").write_text(text.replace("</body>", PROBE + "</body>"))
    seen = probe(browser, tmp_path)
    shots = {name: np.array(v).reshape(HEIGHT, WIDTH, 4)[..., :3] for name, v in seen.items()}
    for name, frame in (("comp", 1001), ("next", 1002)):
        expected = preview.to_srgb_bytes(
            preview.load_frame(tmp_path, result.flat("comp"), frame), transform(result)
        )
        assert np.abs(shots[name] - expected.astype(int)).max() <= 3
    alpha = preview.load_frame(tmp_path, result.layer("fg_01"), 1001)[..., 3].float().numpy() * 255
    assert (shots["alpha"] == 255).all()
    assert np.abs(shots["foreground"][..., 0] - alpha).max() <= 1
    assert np.abs(shots["without"][0, 0].astype(int) - shots["comp"][0, 0]).max() > 20
