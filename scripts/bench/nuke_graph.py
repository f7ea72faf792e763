"""From "job done" to nodes in the graph, on the strict fake of Nuke, for a stack of three layers.

The baseline is a version swap, which only changes paths. The fake is not Nuke: it says what the
plug-in itself costs, reading the manifest included, and how that compares.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes.nk_session import PluginSession
from fakes.nk_stacks import rerender_layers
from fakes.sample_stacks import write_stack

RUNS = 30


def main() -> None:
    """Print the time for new layers and for a version swap."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "stack"
        write_stack(folder)
        new_layers = [time_arrival(PluginSession(Path(temporary)), folder) for _ in range(RUNS)]
        session = PluginSession(Path(temporary))
        time_arrival(session, folder)
        swaps = []
        for version in range(2, RUNS + 2):
            rerender_layers(folder, "fg_01", "shadow_01")
            session.controller.on_button(session.value("l2v_uuid"), "rerender fg_01")
            swaps.append(measure(lambda: session.send_result(folder)))
            if session.value("fg_01_version") != version:
                raise SystemExit(f"the version did not arrive: {session.value('status')}")
    new, swap = statistics.median(new_layers), statistics.median(swaps)
    print(f"new layers    {1e3 * new:7.1f} ms median, {1e3 * max(new_layers):.1f} ms at most")
    print(f"version swap  {1e3 * swap:7.1f} ms median (baseline)    ratio {new / swap:.2f}")


def time_arrival(session: PluginSession, folder: Path) -> float:
    """Return the seconds from a finished job to its nodes."""
    session.generate()
    seconds = measure(lambda: session.send_result(folder))
    if "Merge_fg_01" not in session.nuke.dump()["LayerT2V1"]["nodes"]:
        raise SystemExit(f"the layers did not arrive: {session.value('status')}")
    return seconds


def measure(work: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
