"""Specs and models as messages, and the constants that client and server share.

Knows the two shapes of the same request and model, dataclass and message, and nothing else of
either side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from layert2v.decompose import (
    FOOTAGE,
    RECIPES,
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
)
from layert2v.placement import Placement
from layert2v.presets import Preset
from layert2v.rerender import AUTO, DonorLayer, Plate, RerenderSpec
from layert2v.spec import COMPRESSIONS, GenerateSpec, ModelInfo
from layert2v.v1 import jobs_pb2, server_pb2

ERROR_TRAILER = "layert2v-error-bin"  # a serialised ErrorDetail in the trailing metadata
TOKEN_METADATA = "authorization"  # noqa: S105  "Bearer <token>"
REQUEST_METADATA = "x-request-id"  # of each call, for the log; comes back with an error
CHUNK_BYTES = 1024 * 1024  # best or within noise of the best on TCP and unix sockets
MAX_CHUNK_BYTES = 2 * CHUNK_BYTES
MAX_MESSAGE_BYTES = 4 * 1024 * 1024 + 64 * 1024  # gRPC's default and some slack for its headers
MAX_PREVIEW_BYTES = 64 * 1024
MAX_FIND_FILES = 20_000  # hashes in one question: less than half of a message


def spec_to_message(spec: GenerateSpec) -> jobs_pb2.GenerateSpec:
    """Return the request as a message; None and a negative guidance become unset fields."""
    return jobs_pb2.GenerateSpec(
        prompt=spec.prompt,
        background_prompt=spec.background_prompt,
        foreground_prompts=spec.foreground_prompts,
        negative_prompt=spec.negative_prompt,
        width=spec.width,
        height=spec.height,
        frames=spec.frames,
        fps=spec.fps,
        seed=spec.seed,
        steps=spec.steps,
        guidance=spec.guidance if spec.guidance >= 0 else None,
        model=spec.model,
        colorspace=spec.colorspace,
        start_frame=spec.start_frame,
        nearest=spec.nearest,
        compression=spec.compression,
        placements=[jobs_pb2.Placement(**asdict(each)) for each in spec.placements],
    )


def spec_from_message(message: jobs_pb2.GenerateSpec) -> GenerateSpec:
    """Return the request in a message; unset fields take the defaults of ``GenerateSpec``."""
    defaults = GenerateSpec(prompt=message.prompt)
    return GenerateSpec(
        prompt=message.prompt,
        background_prompt=message.background_prompt,
        foreground_prompts=tuple(message.foreground_prompts),
        negative_prompt=message.negative_prompt,
        width=message.width,
        height=message.height,
        frames=message.frames,
        fps=message.fps,
        seed=message.seed if message.HasField("seed") else None,
        steps=message.steps,
        guidance=message.guidance if message.HasField("guidance") else defaults.guidance,
        model=message.model or defaults.model,
        colorspace=message.colorspace or defaults.colorspace,
        start_frame=message.start_frame
        if message.HasField("start_frame")
        else defaults.start_frame,
        nearest=message.nearest,
        compression=message.compression or defaults.compression,
        placements=tuple(map(_placement, message.placements)),
    )


def _placement(message: jobs_pb2.Placement) -> Placement:
    return Placement(
        foreground=message.foreground,
        shape=message.shape,
        x=message.x,
        y=message.y,
        width=message.width,
        height=message.height,
        strength=message.strength if message.HasField("strength") else 1.0,
    )


def rerender_to_message(spec: RerenderSpec) -> jobs_pb2.RerenderSpec:
    """Return the request as a message; None and a negative guidance become unset fields."""
    return jobs_pb2.RerenderSpec(
        action=spec.action,
        layers=spec.layers,
        frozen=spec.frozen,
        prompts=dict(spec.prompts),
        above=spec.above,
        plate=None if spec.plate is None else jobs_pb2.Plate(**asdict(spec.plate)),
        donor=None if spec.donor is None else jobs_pb2.Donor(**asdict(spec.donor)),
        masks=dict(spec.masks),
        at=spec.at,
        seed=spec.seed,
        strength=spec.strength,
        steps=spec.steps,
        guidance=spec.guidance if spec.guidance >= 0 else None,
        model=spec.model,
        compression=spec.compression,
        nearest=spec.nearest,
    )


def rerender_from_message(message: jobs_pb2.RerenderSpec) -> RerenderSpec:
    """Return the request in a message; unset fields take the defaults of ``RerenderSpec``."""
    defaults = RerenderSpec(action=message.action, layers=tuple(message.layers))
    return RerenderSpec(
        action=message.action,
        layers=tuple(message.layers),
        frozen=tuple(message.frozen),
        prompts=dict(message.prompts),
        above=message.above,
        plate=_plate(message.plate) if message.HasField("plate") else None,
        donor=_donor(message.donor) if message.HasField("donor") else None,
        masks=dict(message.masks),
        at=message.at,
        seed=message.seed if message.HasField("seed") else None,
        strength=message.strength if message.HasField("strength") else defaults.strength,
        steps=message.steps,
        guidance=message.guidance if message.HasField("guidance") else defaults.guidance,
        model=message.model,
        compression=message.compression or defaults.compression,
        nearest=message.nearest,
    )


def decompose_to_message(spec: DecomposeSpec) -> jobs_pb2.DecomposeSpec:
    """Return the request as a message; None becomes an unset field."""
    return jobs_pb2.DecomposeSpec(
        subjects=map(_subject_to_message, spec.subjects),
        footage=jobs_pb2.Footage(**asdict(spec.footage)),
        plate=None if spec.plate is None else jobs_pb2.Plate(**asdict(spec.plate)),
        first=spec.first,
        last=spec.last,
        handles=spec.handles,
        scale=spec.scale,
        colorspace=spec.colorspace,
        name=spec.name,
        compression=spec.compression,
        recipe=spec.recipe,
        ignore_cuts=spec.ignore_cuts,
    )


def decompose_from_message(message: jobs_pb2.DecomposeSpec) -> DecomposeSpec:
    """Return the request in a message; unset fields take the defaults of ``DecomposeSpec``."""
    return DecomposeSpec(
        subjects=tuple(map(_subject, message.subjects)),
        footage=_footage(message.footage),
        plate=_plate(message.plate) if message.HasField("plate") else None,
        first=message.first if message.HasField("first") else None,
        last=message.last if message.HasField("last") else None,
        handles=message.handles,
        scale=message.scale if message.HasField("scale") else 1.0,
        colorspace=message.colorspace or AUTO,
        name=message.name,
        compression=message.compression or COMPRESSIONS[0],
        recipe=message.recipe or RECIPES[0],
        ignore_cuts=message.ignore_cuts,
    )


def refine_to_message(spec: RefineSpec) -> jobs_pb2.RefineSpec:
    """Return the request as a message."""
    return jobs_pb2.RefineSpec(
        layer=spec.layer,
        matte=spec.matte,
        plate=None if spec.plate is None else jobs_pb2.Plate(**asdict(spec.plate)),
        at=spec.at,
        compression=spec.compression,
        matrix=spec.matrix,
        color_range=spec.color_range,
        deinterlace=spec.deinterlace,
        points=_points_to_messages(spec.points),
    )


def refine_from_message(message: jobs_pb2.RefineSpec) -> RefineSpec:
    """Return the request in a message."""
    return RefineSpec(
        layer=message.layer,
        matte=message.matte,
        plate=_plate(message.plate) if message.HasField("plate") else None,
        at=message.at,
        compression=message.compression or COMPRESSIONS[0],
        matrix=message.matrix or AUTO,
        color_range=message.color_range or AUTO,
        deinterlace=message.deinterlace,
        points=_points(message.points),
    )


def _points_to_messages(points: Iterable[Point]) -> list[jobs_pb2.Point]:
    return [
        jobs_pb2.Point(frame=each.frame, x=each.x, y=each.y, outside=not each.is_subject)
        for each in points
    ]


def _points(messages: Iterable[jobs_pb2.Point]) -> tuple[Point, ...]:
    return tuple(Point(each.frame, each.x, each.y, not each.outside) for each in messages)


def _subject_to_message(subject: SubjectSpec) -> jobs_pb2.Subject:
    return jobs_pb2.Subject(
        words=subject.words,
        boxes=(jobs_pb2.Box(**asdict(box)) for box in subject.boxes),
        points=_points_to_messages(subject.points),
        matte=subject.matte,
        scribble=subject.scribble,
    )


def _subject(message: jobs_pb2.Subject) -> SubjectSpec:
    return SubjectSpec(
        words=message.words,
        boxes=tuple(Box(b.frame, b.x, b.y, b.width, b.height) for b in message.boxes),
        points=_points(message.points),
        matte=message.matte,
        scribble=message.scribble,
    )


def _footage(message: jobs_pb2.Footage) -> Footage:
    return Footage(
        input=message.input or FOOTAGE,
        colorspace=message.colorspace or AUTO,
        alpha=message.alpha or AUTO,
        fps=message.fps,
        start_frame=message.start_frame if message.HasField("start_frame") else None,
        matrix=message.matrix or AUTO,
        color_range=message.color_range or AUTO,
        deinterlace=message.deinterlace,
    )


def _plate(message: jobs_pb2.Plate) -> Plate:
    defaults = Plate(input=message.input, colorspace=message.colorspace)
    return Plate(
        input=message.input,
        colorspace=message.colorspace,
        alpha=message.alpha or defaults.alpha,
        fit=message.fit or defaults.fit,
    )


def _donor(message: jobs_pb2.Donor) -> DonorLayer:
    return DonorLayer(input=message.input, layer=message.layer, with_shadow=message.with_shadow)


def model_to_message(model: ModelInfo) -> server_pb2.Model:
    """Return the model description as a message."""
    return server_pb2.Model(
        name=model.name,
        title=model.title,
        digest=model.digest,
        width_range=_int_range(model.width_range),
        height_range=_int_range(model.height_range),
        size_step=model.size_step,
        frames_range=_int_range(model.frames_range),
        frames_step=model.frames_step,
        max_foregrounds=model.max_foregrounds,
        default_width=model.default_width,
        default_height=model.default_height,
        default_frames=model.default_frames,
        default_fps=model.default_fps,
        default_steps=model.default_steps,
        default_guidance=model.default_guidance,
        steps_range=_int_range(model.steps_range),
        guidance_range=server_pb2.DoubleRange(
            min=model.guidance_range[0], max=model.guidance_range[1]
        ),
        source_colorspace=model.source_colorspace,
        abilities=model.abilities,
        vocabulary={k: server_pb2.Words(words=v) for k, v in model.vocabulary.items()},
        colorspaces=model.colorspaces,
        presets=map(_preset_to_message, model.presets),
    )


def _preset_to_message(preset: Preset) -> server_pb2.Preset:
    plain = asdict(preset)
    guidance = plain.pop("guidance")
    return server_pb2.Preset(**plain, guidance=guidance if guidance >= 0 else None)


def model_from_message(message: server_pb2.Model) -> ModelInfo:
    """Return the model description in a message."""
    return ModelInfo(
        name=message.name,
        title=message.title,
        digest=message.digest,
        width_range=(message.width_range.min, message.width_range.max),
        height_range=(message.height_range.min, message.height_range.max),
        size_step=message.size_step,
        frames_range=(message.frames_range.min, message.frames_range.max),
        frames_step=message.frames_step,
        max_foregrounds=message.max_foregrounds,
        default_width=message.default_width,
        default_height=message.default_height,
        default_frames=message.default_frames,
        default_fps=message.default_fps,
        default_steps=message.default_steps,
        default_guidance=message.default_guidance,
        steps_range=(message.steps_range.min, message.steps_range.max),
        guidance_range=(message.guidance_range.min, message.guidance_range.max),
        source_colorspace=message.source_colorspace,
        abilities=tuple(message.abilities),
        vocabulary={k: tuple(v.words) for k, v in message.vocabulary.items()},
        colorspaces=tuple(message.colorspaces),
        presets=tuple(map(_preset, message.presets)),
    )


def _preset(message: server_pb2.Preset) -> Preset:
    return Preset(
        name=message.name,
        width=message.width,
        height=message.height,
        frames=message.frames,
        steps=message.steps,
        guidance=message.guidance if message.HasField("guidance") else Preset("").guidance,
    )


def _int_range(ends: tuple[int, int]) -> server_pb2.IntRange:
    return server_pb2.IntRange(min=ends[0], max=ends[1])
