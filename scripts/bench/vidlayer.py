"""How fast data sets of layered video are built: clips per minute and core, stage by stage.

Clips are a textured wall and a disc that crosses it, or ``--footage``. Each stage is told as a
ratio to writing a clip once, lossless, which is the least that a stage with pictures could do.
Processor time is counted, so that other work on the machine does not count. With ``--out`` the data
set stays, and a run that was stopped goes on; memory is then that of the last run. Ctrl-C prints
what was measured by then.

``--workers 1 2`` also builds on Ray, in turns with so many actors. The time from the first clips to
the last one says how it grows, on a machine that has nothing else to do; the processor time of each
clip says how much of that is lost to the cluster, on any. ``--clips`` should be a multiple of the
actors, since at the end of other numbers some have nothing to do. Memory is what all processes of
the build hold together (RSS), after the first clip, half of them and all.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.vidlayer.build import BuildProgress, lock_data_set, prepare_folder
from layert2v_engine.vidlayer.clips import ClipFormat, mark_duplicates, source_record
from layert2v_engine.vidlayer.cluster.build import build_on_cluster
from layert2v_engine.vidlayer.cluster.connection import OBJECT_STORE_BYTES
from layert2v_engine.vidlayer.cluster.needs import StageNeeds
from layert2v_engine.vidlayer.movies import read_bytes, write_h264, write_lossless
from layert2v_engine.vidlayer.plan import STAGES, BuildPlan
from layert2v_engine.vidlayer.sources import Source, find_sources
from layert2v_engine.vidlayer.state import clip_states
from layert2v_engine.vidlayer.thresholds import Thresholds
from layert2v_engine.vidlayer.write import write_catalogue

FOR_ALL = "[clip.motion_score_global_mean]\nmax = 1.0\n[clip.hash_distance]\nvalue = 0\n"
MILLION = 1_000_000


def main() -> None:
    """Build, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--footage", type=Path, help="movies to build, so many of them")
    parser.add_argument("--out", type=Path, help="keep the data set of this process there")
    parser.add_argument("--height", type=int, default=480, help="of clips at most; default: 480")
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--scale", type=int, default=3, help="of 96 x 64 pixels; default: 3")
    parser.add_argument("--cluster-only", action="store_true", help="leave out this process")
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="also on Ray")
    parser.add_argument("--rounds", type=int, default=3, help="of those; default: 3")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.footage:
            sources = find_sources([args.footage], allow_unlicensed=True)[: args.clips]
        else:
            sources = make_sources(Path(folder) / "footage", args.clips, args.frames, args.scale)
        limits = Path(folder) / "limits.toml"
        limits.write_text(FOR_ALL)
        plan = BuildPlan(
            root=args.out or Path(folder) / "set",
            thresholds=Thresholds.load(limits),
            clip_format=ClipFormat(frames=args.frames, height=args.height),
        )
        if not args.cluster_only:
            measure_stages(plan, sources)
        if args.workers:
            measure_workers(plan, sources, args.workers, args.rounds)


def make_sources(folder: Path, clips: int, frames: int, scale: int) -> list[Source]:
    """Write so many movies."""
    folder.mkdir()
    for seed in range(clips):
        small = encode(disc_clip(frames=frames, seed=seed).source).clip(0, 1) * 255
        large = [cv2.resize(each, None, fx=scale, fy=scale) for each in small]
        write_h264(folder / f"disc_{seed:04d}.mp4", np.stack(large).round().astype(np.uint8), 24)
    return find_sources([folder], allow_unlicensed=True)


def measure_stages(plan: BuildPlan, sources: list[Source]) -> None:
    """Build in this process and print the processor time of each stage."""
    with lock_data_set(plan.root):
        prepare_folder(plan)
        seconds = StageSeconds(plan.root / "seconds.jsonl")
        clip_stage = plan.make_clip_stage()
        for source in sources:
            with seconds.measure("clip", source.path.name):
                clip_stage({"source": [source_record(source)]})
        mark_duplicates(plan.root, plan.thresholds)
        memory: list[int] = []
        with suppress(KeyboardInterrupt):  # what was measured by then is printed
            measure_clips(plan, seconds, memory)
        counts = write_catalogue(plan.root)
    states = [each for each in clip_states(plan.root) if each.is_done("cut")]
    if not states:
        sys.exit("No clip was cut, so there is nothing to print.")
    pictures = read_bytes(states[0].folder / "footage.mkv")
    started = time.process_time()
    write_lossless(plan.root / "baseline.mkv", pictures, 24)
    baseline = time.process_time() - started
    print(f"{len(states)} clips of {len(pictures)} frames, {pictures.shape[2]} x "
          f"{pictures.shape[1]}; kept: {counts['kept']}")  # fmt: skip
    print("stage     s/clip  clips/min/core  ratio to writing the clip once")
    means = seconds.means()
    for name, each in [*means.items(), ("all", sum(means.values()))]:
        print(f"{name:8} {each:7.2f} {60 / max(each, 1e-6):15.1f} {each / baseline:10.1f}")
    print_memory(memory)
    days = sum(means.values()) * MILLION / 86400
    print(f"computed: {days:.0f} days of one core for a million such clips")


def measure_clips(plan: BuildPlan, seconds: StageSeconds, memory: list[int]) -> None:
    """Take clip by clip through its stages; add the MiB held after each."""
    states = [each for each in clip_states(plan.root) if not each.is_out]
    stages = {name: plan.make_stage(name) for name in STAGES}
    for number, state in enumerate(states, 1):
        for name, stage in stages.items():
            if not state.is_done(name) and not state.is_out:
                with seconds.measure(name, state.clip):
                    stage({"clip": [state.clip]})
        memory.append(memory_mib())
        print(f"{number} of {len(states)}, {memory[-1]} MiB", file=sys.stderr, flush=True)


class StageSeconds:
    """Processor seconds of each stage and clip, kept as lines of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @contextmanager
    def measure(self, stage: str, clip: str) -> Iterator[None]:
        """Keep what the block takes."""
        started = time.process_time()
        yield
        line = {"stage": stage, "clip": clip, "seconds": time.process_time() - started}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def means(self) -> dict[str, float]:
        """Return the mean seconds of each stage, by the first time that a clip went through it."""
        first: dict[str, dict[str, float]] = defaultdict(dict)
        for line in map(json.loads, self._path.read_text(encoding="utf-8").splitlines()):
            first[line["stage"]].setdefault(line["clip"], line["seconds"])
        return {stage: statistics.mean(clips.values()) for stage, clips in first.items()}


def measure_workers(
    plan: BuildPlan, sources: list[Source], workers: list[int], rounds: int
) -> None:
    """Build on Ray with each number of actors in turns, and print how the speed grows."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="token")  # before the import
    import ray

    ray.init(
        address="local", num_cpus=max(workers), include_dashboard=False, log_to_driver=False,
        object_store_memory=OBJECT_STORE_BYTES,
    )  # fmt: skip
    speeds: dict[int, list[BuildSpeed]] = defaultdict(list)
    for number in range(rounds):
        for count in workers:
            root = plan.root.with_name(f"ray_{number}_{count}")
            speed = measure_build(dataclasses.replace(plan, root=root), sources, count)
            speeds[count].append(speed)
            shutil.rmtree(root)
    ray.shutdown()
    print(f"actors  clips/min  growth  CPU s/clip  (medians of {rounds} rounds in turns)")
    first = speeds[workers[0]]
    for count, measured in speeds.items():
        rate = statistics.median(60 / each.wall_s for each in measured)
        growth = statistics.median(
            a.wall_s / b.wall_s for a, b in zip(first, measured, strict=True)
        )
        cpu_s = statistics.median(each.cpu_s for each in measured)
        print(f"{count:6} {rate:10.2f} {growth:7.2f} {cpu_s:11.2f}")
        print_memory(measured[-1].memory)


@dataclasses.dataclass(frozen=True)
class BuildSpeed:
    """Seconds of a clip, by the clock and of processors; MiB held after each clip."""

    wall_s: float
    cpu_s: float
    memory: list[int]


def measure_build(plan: BuildPlan, sources: list[Source], workers: int) -> BuildSpeed:
    """Build on so many actors; the first clips of each, with its start, do not count."""
    samples: list[tuple[int, float, float]] = []
    memory: list[int] = []
    cpu_s: dict[int, float] = {}  # an actor with nothing left to do ends before the last clip does

    def sample(progress: BuildProgress) -> None:
        if progress.stage == "layers" and progress.done >= workers:
            cpu_s.update(actors_cpu_s())
            samples.append((progress.done, time.monotonic(), sum(cpu_s.values())))
            memory.append(memory_mib())

    needs = dict.fromkeys(("clip", *STAGES), StageNeeds(most=workers))
    build_on_cluster(plan, sources, sample, needs=needs)
    (begun, started, cpu_before), (done, ended, cpu_after) = samples[0], samples[-1]
    clips = done - begun
    return BuildSpeed((ended - started) / clips, (cpu_after - cpu_before) / clips, memory)


def print_memory(memory: list[int]) -> None:
    """Print what was held after the first clip, half of them, and all."""
    print(f"memory in MiB after the first, a half, all: {memory[0]}, "
          f"{memory[len(memory) // 2]}, {memory[-1]}")  # fmt: skip


def memory_mib() -> int:
    """Return what this process and those that it started hold in memory, pages of both twice."""
    total = 0
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it has just ended
            total += process.memory_info().rss
    return total >> 20


def actors_cpu_s() -> dict[int, float]:
    """Return the processor time of the actors there are, by process."""
    return {
        process.pid: process.info["cpu_times"].user + process.info["cpu_times"].system
        for process in psutil.process_iter(["cmdline", "cpu_times"])
        if "StageActor" in " ".join(process.info["cmdline"] or [])
    }


if __name__ == "__main__":
    main()
