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

from fakes.nk_session import Studio
from fakes.nk_stacks import again
from fakes.sample_stacks import write_stack

RUNS = 30


def main() -> None:
    """Print the medians of new layers and of version swaps."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "stack"
        write_stack(folder)
        fresh = [measure_arrival(Studio(Path(root)), folder) for _ in range(RUNS)]
        studio = Studio(Path(root))
        measure_arrival(studio, folder)
        swaps = []
        for version in range(2, RUNS + 2):
            again(folder, "fg_01", "shadow_01")
            studio.controller.on_button(studio.value("l2v_uuid"), "rerender fg_01")
            swaps.append(measure(lambda: studio.done(folder)))
            if studio.value("fg_01_version") != version:
                raise SystemExit(f"the version did not arrive: {studio.value('status')}")
    new, swap = statistics.median(fresh), statistics.median(swaps)
    print(f"new layers    {1e3 * new:7.1f} ms median, {1e3 * max(fresh):.1f} ms at most")
    print(f"version swap  {1e3 * swap:7.1f} ms median (baseline)    ratio {new / swap:.2f}")


def measure_arrival(studio: Studio, folder: Path) -> float:
    """Return seconds from a finished job to its nodes."""
    studio.asked()
    seconds = measure(lambda: studio.done(folder))
    if "Merge_fg_01" not in studio.nuke.dump()["LayerT2V1"]["nodes"]:
        raise SystemExit(f"the layers did not arrive: {studio.value('status')}")
    return seconds


def measure(work: Callable[[], None]) -> float:
    """Return the wall-clock seconds of the work."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
