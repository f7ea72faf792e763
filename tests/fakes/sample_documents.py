"""Hypothesis strategies for everything that the contract can say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from layert2v.decompose import Box, DecomposeSpec, Footage, Point, RefineSpec, SubjectSpec
from layert2v.limits import MAX_SEED, MAX_SIDE
from layert2v.plain_text import plain_line, plain_text
from layert2v.rerender import DonorLayer, Plate, RerenderSpec
from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo
from layert2v.stack import (
    COMMERCIAL_USES,
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    NetworkRecord,
    Role,
    Stack,
    frame_path,
    layer_pattern,
)
from layert2v_client.types import ErrorInfo, JobState, JobStatus, Progress

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
int32s = st.integers(-(2**31), 2**31 - 1)
counts = st.integers(0, 2**31 - 1)
sizes = st.integers(0, 2**63 - 1)
integers = st.integers(-(2**63) + 1, 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
positives = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
seeds = st.integers(0, MAX_SEED)
digests = st.integers(0, 2**256 - 1).map(lambda value: f"{value:064x}")
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))

specs = st.builds(
    GenerateSpec,
    prompt=texts,
    background_prompt=texts,
    foreground_prompts=st.lists(texts, max_size=3).map(tuple),
    negative_prompt=texts,
    width=int32s,
    height=int32s,
    frames=int32s,
    fps=numbers,
    seed=st.none() | seeds,
    steps=int32s,
    guidance=st.just(-1.0) | st.floats(min_value=0, allow_infinity=False),
    model=texts.filter(bool),
    colorspace=texts.filter(bool),
    start_frame=int32s,
)

plates = st.builds(Plate, texts, texts, alpha=texts.filter(bool), fit=texts.filter(bool))
rerenders = st.builds(
    RerenderSpec,
    action=texts,
    layers=st.lists(texts, max_size=3).map(tuple),
    frozen=st.lists(texts, max_size=3).map(tuple),
    prompts=st.dictionaries(texts, texts, max_size=3),
    above=texts,
    plate=st.none() | plates,
    donor=st.none() | st.builds(DonorLayer, texts, texts, st.booleans()),
    masks=st.dictionaries(texts, texts, max_size=3),
    at=int32s,
    seed=st.none() | seeds,
    strength=numbers,
    steps=int32s,
    guidance=st.just(-1.0) | st.floats(min_value=0, allow_infinity=False),
    model=texts,
    nearest=st.booleans(),
)

_points = st.lists(st.builds(Point, int32s, numbers, numbers, st.booleans()), max_size=2).map(tuple)
_subjects = st.builds(
    SubjectSpec,
    words=texts,
    boxes=st.lists(st.builds(Box, int32s, numbers, numbers, numbers, numbers), max_size=2).map(
        tuple
    ),
    points=_points,
    matte=texts,
    scribble=texts,
)
decompositions = st.builds(
    DecomposeSpec,
    subjects=st.lists(_subjects, max_size=2).map(tuple),
    footage=st.builds(
        Footage,
        input=texts.filter(bool),
        colorspace=texts.filter(bool),
        alpha=texts.filter(bool),
        fps=numbers,
        start_frame=st.none() | int32s,
        matrix=texts.filter(bool),
        color_range=texts.filter(bool),
        deinterlace=st.booleans(),
    ),
    plate=st.none() | plates,
    first=st.none() | int32s,
    last=st.none() | int32s,
    handles=int32s,
    scale=numbers,
    colorspace=texts.filter(bool),
    name=texts,
    recipe=texts.filter(bool),
    ignore_cuts=st.booleans(),
)
refinements = st.builds(
    RefineSpec,
    layer=texts,
    matte=texts,
    plate=st.none() | plates,
    at=int32s,
    matrix=texts.filter(bool),
    color_range=texts.filter(bool),
    deinterlace=st.booleans(),
    points=_points,
)

_ranges = st.tuples(int32s, int32s)
models = st.builds(
    ModelInfo,
    name=texts,
    title=texts,
    digest=digests,
    width_range=_ranges,
    height_range=_ranges,
    size_step=int32s,
    frames_range=_ranges,
    frames_step=int32s,
    max_foregrounds=int32s,
    default_width=int32s,
    default_height=int32s,
    default_frames=int32s,
    default_fps=numbers,
    default_steps=int32s,
    default_guidance=numbers,
    steps_range=_ranges,
    guidance_range=st.tuples(numbers, numbers),
    source_colorspace=texts,
    abilities=st.lists(texts, max_size=3).map(tuple),
    vocabulary=st.dictionaries(texts, st.lists(texts, max_size=3).map(tuple), max_size=3),
    colorspaces=st.lists(texts, max_size=3).map(tuple),
)

# What a server says is made plain text where it arrives.
words, lines = texts.map(plain_text), texts.map(plain_line)
violations = st.lists(st.builds(FieldViolation, lines, words), max_size=2).map(tuple)
statuses = st.builds(
    JobStatus,
    name=texts,
    state=st.sampled_from(JobState),
    revision=sizes,
    spec=specs,
    progress=st.none()
    | st.builds(Progress, lines, counts, counts, numbers, st.none() | numbers, words),
    queue_position=st.none() | counts,
    error=st.none() | st.builds(ErrorInfo, texts, words, words, violations),
    attempt=counts,
    max_attempts=counts,
    created=st.none() | moments,
    started=st.none() | moments,
    ended=st.none() | moments,
    artifact_count=counts,
    artifact_bytes=sizes,
    local_path=texts,
    owner=lines,
    priority=st.sampled_from(["low", "normal", "high", "urgent"]),
    start_eta_s=st.none() | numbers,
)

_paths = st.from_regex(r"[a-z0-9_]{1,8}(/v[0-9]{3}_x\.[a-z]{3})?", fullmatch=True)
_files = st.builds(FileRecord, _paths, sizes, digests)
_json = st.recursive(
    st.none() | st.booleans() | integers | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
_networks = st.builds(
    NetworkRecord,
    name=texts,
    licence=texts,
    commercial=st.sampled_from(COMMERCIAL_USES),
    origin=texts,
    sha256=st.just("") | digests,
)
_entries = st.builds(
    HistoryEntry,
    action=texts,
    created=texts,
    versions=st.dictionaries(texts, integers, max_size=2),
    spec=st.dictionaries(texts, _json, max_size=2),
    note=texts,
    networks=st.lists(_networks, max_size=1).map(tuple),
)
_histories = st.lists(_entries, min_size=1, max_size=3).flatmap(
    lambda entries: st.tuples(
        *(
            st.integers(0, former).map(lambda parent, entry=entry: replace(entry, parent=parent))
            for former, entry in enumerate(entries)
        )
    )
)


@st.composite
def stacks(draw: Any) -> Stack:
    """Return a valid stack: some foregrounds, some with shadows, perhaps comp and ref."""
    start, frames = draw(st.integers(0, 5000)), draw(st.integers(1, 3))

    def sequence(name: str) -> dict[str, Any]:
        version = draw(st.integers(1, 1200))
        pattern = layer_pattern(name, version)
        paths = [frame_path(pattern, start + k) for k in range(frames)]
        files = tuple(FileRecord(path, draw(sizes), draw(digests)) for path in paths)
        return {"name": name, "version": version, "pattern": pattern, "files": files}

    def layer(name: str, role: Role, caster: str | None = None) -> Layer:
        source = draw(st.sampled_from(["generated", "imported", "plate"]))
        more = {"prompt": draw(texts), "seed": draw(seeds), "source": source}
        return Layer(**sequence(name), **more, role=role, caster=caster)

    layers = [layer("bg", Role.background)]
    for k in range(1, draw(st.integers(0, 2)) + 1):
        if draw(st.booleans()):
            layers.append(layer(f"shadow_{k:02d}", Role.shadow, f"fg_{k:02d}"))
        layers.append(layer(f"fg_{k:02d}", Role.foreground))
    flats = draw(st.sampled_from([(), ("comp",), ("comp", "ref")]))
    return Stack(
        name=draw(texts),
        width=draw(st.integers(1, MAX_SIDE)),
        height=draw(st.integers(1, MAX_SIDE)),
        pixel_aspect=draw(positives),
        fps=draw(positives),
        start_frame=start,
        frames=frames,
        colorspace=draw(texts),
        layers=tuple(layers),
        flats=tuple(FlattenedSequence(**sequence(name)) for name in flats),
        prompt=draw(texts),
        negative_prompt=draw(texts),
        seed=draw(seeds),
        model=draw(texts),
        model_digest=draw(texts),
        prompt_interpretation=draw(texts),
        warnings=draw(st.lists(texts, max_size=2).map(tuple)),
        latents=draw(st.lists(_files, max_size=2).map(tuple)),
        previews=draw(st.lists(_files, max_size=2).map(tuple)),
        history=draw(_histories),
        created=draw(texts),
        generator=draw(texts),
    )
