"""Lets the strict fake render: its project is saved, read by the other hand, and evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR

from fakes.fake_nuke.app import FakeNuke
from fakes.fake_nuke.nodes import Node
from fakes.fake_nuke.saved import save
from fakes.nk_evaluate import Evaluator, Image
from fakes.nk_reader import read

FRAME = 1001


def add_renderer(nuke: FakeNuke) -> FakeNuke:
    """Let a session render; return the same session."""

    def render_image(node: Node, frame: int) -> Image:
        width, height = nuke.root_format.width(), nuke.root_format.height()
        evaluator = Evaluator(frame, project=(height, width))
        found = evaluator.render(read(save(nuke)).find(node.name()))
        assert found is not None
        return found

    def sample(node: Node, channel: str, x: float, y: float) -> float:
        plane = render_image(node, FRAME).plane(channel)
        return float(plane[plane.shape[0] - 1 - int(y), int(x)])  # Nuke counts rows from below

    def render(write: Node, path: str, frame: int) -> None:
        source = write.input(0)
        channels = str(write["channels"].value()).upper()
        if source is None or channels not in ("RGB", "RGBA") or not write["raw"].value():
            raise RuntimeError("Write error: nothing to write")
        pixels = render_image(source, frame).rgba().astype(np.float16)
        planes = {c: np.ascontiguousarray(pixels[..., i]) for i, c in enumerate(channels)}
        header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.scanlineimage}
        if not Path(path).parent.is_dir():
            raise RuntimeError("Write error: no such folder")
        with OpenEXR.File(header, planes) as file:
            file.write(path)

    nuke.renderer, nuke.sampler = render, sample
    return nuke
