"""Interlaced video as whole frames: the lines that a field lacks are interpolated.

FFmpeg's ``bwdif`` keeps the stored lines of the first field and interpolates those of the second,
by motion, from the fields around it. It works on YCbCr as stored, so the bits and the matrix stay
those of the file. Knows frames, no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph

from layert2v_engine.errors import FootageError

FILTER = "bwdif"
_OPTIONS = "mode=send_frame:parity=auto:deint=all"
_CLOCK = Fraction(1, 25)


def check_fields(path: Path, frame: av.VideoFrame) -> None:
    """Raise ``FootageError`` where frames of this kind cannot be deinterlaced as they are."""
    layout = frame.format.name
    if any(result.format.name != layout for result in deinterlace(iter([frame]))):
        raise FootageError(
            f"{path} cannot be deinterlaced: {FILTER} does not take {layout}.",
            "Leave out --deinterlace, or convert it to ProRes first.",
            reason="PIXEL_FORMAT",
        )


def fields_note(name: str, frame: av.VideoFrame) -> str:
    """Return the sentence about what is done to the fields of a clip."""
    done = f"it is deinterlaced with FFmpeg's {FILTER}, one frame for each pair of fields."
    if frame.interlaced_frame:
        return f"{name} is interlaced; {done}"
    return f"{name} does not say that it is interlaced; as asked for, {done}"


def deinterlace(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield as many whole frames as there are interlaced ones."""
    graph: Graph | None = None
    for number, frame in enumerate(frames):
        graph = graph or _make_graph(frame)
        # Its own clock: of frames that have no time, or the same, the filter would drop some.
        frame.pts, frame.time_base = number, _CLOCK
        graph.vpush(frame)
        yield from _pull(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pull(graph)


def _make_graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=_CLOCK
    )
    graph.link_nodes(source, graph.add(FILTER, _OPTIONS), graph.add("buffersink")).configure()
    return graph


def _pull(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
