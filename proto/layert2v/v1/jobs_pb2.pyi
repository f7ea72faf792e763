from google.protobuf import timestamp_pb2 as _timestamp_pb2
from layert2v.v1 import errors_pb2 as _errors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_CANCELLING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class JobKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_KIND_UNSPECIFIED: _ClassVar[JobKind]
    JOB_KIND_GENERATE: _ClassVar[JobKind]
    JOB_KIND_RERENDER: _ClassVar[JobKind]
    JOB_KIND_DECOMPOSE: _ClassVar[JobKind]
    JOB_KIND_REFINE: _ClassVar[JobKind]

class JobPriority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_PRIORITY_UNSPECIFIED: _ClassVar[JobPriority]
    JOB_PRIORITY_LOW: _ClassVar[JobPriority]
    JOB_PRIORITY_NORMAL: _ClassVar[JobPriority]
    JOB_PRIORITY_HIGH: _ClassVar[JobPriority]
    JOB_PRIORITY_URGENT: _ClassVar[JobPriority]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_CANCELLING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_KIND_UNSPECIFIED: JobKind
JOB_KIND_GENERATE: JobKind
JOB_KIND_RERENDER: JobKind
JOB_KIND_DECOMPOSE: JobKind
JOB_KIND_REFINE: JobKind
JOB_PRIORITY_UNSPECIFIED: JobPriority
JOB_PRIORITY_LOW: JobPriority
JOB_PRIORITY_NORMAL: JobPriority
JOB_PRIORITY_HIGH: JobPriority
JOB_PRIORITY_URGENT: JobPriority

class GenerateSpec(_message.Message):
    __slots__ = ("prompt", "background_prompt", "foreground_prompts", "negative_prompt", "width", "height", "frames", "fps", "seed", "steps", "guidance", "model", "colorspace", "start_frame", "nearest", "compression", "placements")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_PROMPT_FIELD_NUMBER: _ClassVar[int]
    FOREGROUND_PROMPTS_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COLORSPACE_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    background_prompt: str
    foreground_prompts: _containers.RepeatedScalarFieldContainer[str]
    negative_prompt: str
    width: int
    height: int
    frames: int
    fps: float
    seed: int
    steps: int
    guidance: float
    model: str
    colorspace: str
    start_frame: int
    nearest: bool
    compression: str
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    def __init__(self, prompt: _Optional[str] = ..., background_prompt: _Optional[str] = ..., foreground_prompts: _Optional[_Iterable[str]] = ..., negative_prompt: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., frames: _Optional[int] = ..., fps: _Optional[float] = ..., seed: _Optional[int] = ..., steps: _Optional[int] = ..., guidance: _Optional[float] = ..., model: _Optional[str] = ..., colorspace: _Optional[str] = ..., start_frame: _Optional[int] = ..., nearest: bool = ..., compression: _Optional[str] = ..., placements: _Optional[_Iterable[_Union[Placement, _Mapping]]] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("foreground", "shape", "x", "y", "width", "height", "strength")
    FOREGROUND_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    foreground: int
    shape: str
    x: float
    y: float
    width: float
    height: float
    strength: float
    def __init__(self, foreground: _Optional[int] = ..., shape: _Optional[str] = ..., x: _Optional[float] = ..., y: _Optional[float] = ..., width: _Optional[float] = ..., height: _Optional[float] = ..., strength: _Optional[float] = ...) -> None: ...

class RerenderSpec(_message.Message):
    __slots__ = ("action", "layers", "frozen", "prompts", "above", "plate", "donor", "masks", "at", "seed", "strength", "steps", "guidance", "model", "compression", "nearest")
    class PromptsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MasksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACTION_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    PLATE_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    action: str
    layers: _containers.RepeatedScalarFieldContainer[str]
    frozen: _containers.RepeatedScalarFieldContainer[str]
    prompts: _containers.ScalarMap[str, str]
    above: str
    plate: Plate
    donor: Donor
    masks: _containers.ScalarMap[str, str]
    at: int
    seed: int
    strength: float
    steps: int
    guidance: float
    model: str
    compression: str
    nearest: bool
    def __init__(self, action: _Optional[str] = ..., layers: _Optional[_Iterable[str]] = ..., frozen: _Optional[_Iterable[str]] = ..., prompts: _Optional[_Mapping[str, str]] = ..., above: _Optional[str] = ..., plate: _Optional[_Union[Plate, _Mapping]] = ..., donor: _Optional[_Union[Donor, _Mapping]] = ..., masks: _Optional[_Mapping[str, str]] = ..., at: _Optional[int] = ..., seed: _Optional[int] = ..., strength: _Optional[float] = ..., steps: _Optional[int] = ..., guidance: _Optional[float] = ..., model: _Optional[str] = ..., compression: _Optional[str] = ..., nearest: bool = ...) -> None: ...

class Plate(_message.Message):
    __slots__ = ("input", "colorspace", "alpha", "fit")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    COLORSPACE_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    input: str
    colorspace: str
    alpha: str
    fit: str
    def __init__(self, input: _Optional[str] = ..., colorspace: _Optional[str] = ..., alpha: _Optional[str] = ..., fit: _Optional[str] = ...) -> None: ...

class Donor(_message.Message):
    __slots__ = ("input", "layer", "with_shadow")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    WITH_SHADOW_FIELD_NUMBER: _ClassVar[int]
    input: str
    layer: str
    with_shadow: bool
    def __init__(self, input: _Optional[str] = ..., layer: _Optional[str] = ..., with_shadow: bool = ...) -> None: ...

class RerenderRequest(_message.Message):
    __slots__ = ("spec", "job", "manifest", "state", "inputs", "kept")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: InputFiles
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[InputFiles, _Mapping]] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    spec: RerenderSpec
    job: str
    manifest: str
    state: str
    inputs: _containers.MessageMap[str, InputFiles]
    kept: _containers.RepeatedCompositeFieldContainer[InputFile]
    def __init__(self, spec: _Optional[_Union[RerenderSpec, _Mapping]] = ..., job: _Optional[str] = ..., manifest: _Optional[str] = ..., state: _Optional[str] = ..., inputs: _Optional[_Mapping[str, InputFiles]] = ..., kept: _Optional[_Iterable[_Union[InputFile, _Mapping]]] = ...) -> None: ...

class InputFiles(_message.Message):
    __slots__ = ("list", "job", "manifest")
    LIST_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    list: FileList
    job: str
    manifest: str
    def __init__(self, list: _Optional[_Union[FileList, _Mapping]] = ..., job: _Optional[str] = ..., manifest: _Optional[str] = ...) -> None: ...

class FileList(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[InputFile]
    def __init__(self, files: _Optional[_Iterable[_Union[InputFile, _Mapping]]] = ...) -> None: ...

class InputFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class DecomposeSpec(_message.Message):
    __slots__ = ("subjects", "footage", "plate", "first", "last", "handles", "scale", "colorspace", "name", "compression", "recipe", "ignore_cuts")
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    FOOTAGE_FIELD_NUMBER: _ClassVar[int]
    PLATE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    COLORSPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CUTS_FIELD_NUMBER: _ClassVar[int]
    subjects: _containers.RepeatedCompositeFieldContainer[Subject]
    footage: Footage
    plate: Plate
    first: int
    last: int
    handles: int
    scale: float
    colorspace: str
    name: str
    compression: str
    recipe: str
    ignore_cuts: bool
    def __init__(self, subjects: _Optional[_Iterable[_Union[Subject, _Mapping]]] = ..., footage: _Optional[_Union[Footage, _Mapping]] = ..., plate: _Optional[_Union[Plate, _Mapping]] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., handles: _Optional[int] = ..., scale: _Optional[float] = ..., colorspace: _Optional[str] = ..., name: _Optional[str] = ..., compression: _Optional[str] = ..., recipe: _Optional[str] = ..., ignore_cuts: bool = ...) -> None: ...

class Footage(_message.Message):
    __slots__ = ("input", "colorspace", "alpha", "fps", "start_frame", "matrix", "color_range", "deinterlace")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    COLORSPACE_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    COLOR_RANGE_FIELD_NUMBER: _ClassVar[int]
    DEINTERLACE_FIELD_NUMBER: _ClassVar[int]
    input: str
    colorspace: str
    alpha: str
    fps: float
    start_frame: int
    matrix: str
    color_range: str
    deinterlace: bool
    def __init__(self, input: _Optional[str] = ..., colorspace: _Optional[str] = ..., alpha: _Optional[str] = ..., fps: _Optional[float] = ..., start_frame: _Optional[int] = ..., matrix: _Optional[str] = ..., color_range: _Optional[str] = ..., deinterlace: bool = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("words", "boxes", "points", "matte", "scribble")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    MATTE_FIELD_NUMBER: _ClassVar[int]
    SCRIBBLE_FIELD_NUMBER: _ClassVar[int]
    words: str
    boxes: _containers.RepeatedCompositeFieldContainer[Box]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    matte: str
    scribble: str
    def __init__(self, words: _Optional[str] = ..., boxes: _Optional[_Iterable[_Union[Box, _Mapping]]] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., matte: _Optional[str] = ..., scribble: _Optional[str] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("frame", "x", "y", "width", "height")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    frame: int
    x: float
    y: float
    width: float
    height: float
    def __init__(self, frame: _Optional[int] = ..., x: _Optional[float] = ..., y: _Optional[float] = ..., width: _Optional[float] = ..., height: _Optional[float] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("frame", "x", "y", "outside")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    frame: int
    x: float
    y: float
    outside: bool
    def __init__(self, frame: _Optional[int] = ..., x: _Optional[float] = ..., y: _Optional[float] = ..., outside: bool = ...) -> None: ...

class DecomposeRequest(_message.Message):
    __slots__ = ("spec", "inputs")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: InputFiles
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[InputFiles, _Mapping]] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    spec: DecomposeSpec
    inputs: _containers.MessageMap[str, InputFiles]
    def __init__(self, spec: _Optional[_Union[DecomposeSpec, _Mapping]] = ..., inputs: _Optional[_Mapping[str, InputFiles]] = ...) -> None: ...

class RefineSpec(_message.Message):
    __slots__ = ("layer", "matte", "plate", "at", "compression", "matrix", "color_range", "deinterlace", "points")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    MATTE_FIELD_NUMBER: _ClassVar[int]
    PLATE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    COLOR_RANGE_FIELD_NUMBER: _ClassVar[int]
    DEINTERLACE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    layer: str
    matte: str
    plate: Plate
    at: int
    compression: str
    matrix: str
    color_range: str
    deinterlace: bool
    points: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, layer: _Optional[str] = ..., matte: _Optional[str] = ..., plate: _Optional[_Union[Plate, _Mapping]] = ..., at: _Optional[int] = ..., compression: _Optional[str] = ..., matrix: _Optional[str] = ..., color_range: _Optional[str] = ..., deinterlace: bool = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class RefineRequest(_message.Message):
    __slots__ = ("spec", "job", "manifest", "state", "inputs", "kept")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: InputFiles
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[InputFiles, _Mapping]] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    spec: RefineSpec
    job: str
    manifest: str
    state: str
    inputs: _containers.MessageMap[str, InputFiles]
    kept: _containers.RepeatedCompositeFieldContainer[InputFile]
    def __init__(self, spec: _Optional[_Union[RefineSpec, _Mapping]] = ..., job: _Optional[str] = ..., manifest: _Optional[str] = ..., state: _Optional[str] = ..., inputs: _Optional[_Mapping[str, InputFiles]] = ..., kept: _Optional[_Iterable[_Union[InputFile, _Mapping]]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "done", "total", "fraction", "eta_s", "message")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    ETA_S_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    total: int
    fraction: float
    eta_s: float
    message: str
    def __init__(self, stage: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., fraction: _Optional[float] = ..., eta_s: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "state", "revision", "spec", "progress", "queue_position", "error", "attempt", "max_attempts", "create_time", "start_time", "end_time", "artifact_count", "artifact_bytes", "local_path", "owner", "kind", "rerender", "source", "decompose", "refine", "priority", "start_eta_s", "quarantined")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_COUNT_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RERENDER_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DECOMPOSE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    START_ETA_S_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: JobState
    revision: int
    spec: GenerateSpec
    progress: Progress
    queue_position: int
    error: _errors_pb2.ErrorDetail
    attempt: int
    max_attempts: int
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    artifact_count: int
    artifact_bytes: int
    local_path: str
    owner: str
    kind: JobKind
    rerender: RerenderSpec
    source: str
    decompose: DecomposeSpec
    refine: RefineSpec
    priority: JobPriority
    start_eta_s: float
    quarantined: bool
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., revision: _Optional[int] = ..., spec: _Optional[_Union[GenerateSpec, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., queue_position: _Optional[int] = ..., error: _Optional[_Union[_errors_pb2.ErrorDetail, _Mapping]] = ..., attempt: _Optional[int] = ..., max_attempts: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., artifact_count: _Optional[int] = ..., artifact_bytes: _Optional[int] = ..., local_path: _Optional[str] = ..., owner: _Optional[str] = ..., kind: _Optional[_Union[JobKind, str]] = ..., rerender: _Optional[_Union[RerenderSpec, _Mapping]] = ..., source: _Optional[str] = ..., decompose: _Optional[_Union[DecomposeSpec, _Mapping]] = ..., refine: _Optional[_Union[RefineSpec, _Mapping]] = ..., priority: _Optional[_Union[JobPriority, str]] = ..., start_eta_s: _Optional[float] = ..., quarantined: bool = ...) -> None: ...

class Preview(_message.Message):
    __slots__ = ("media_type", "data")
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    media_type: str
    data: bytes
    def __init__(self, media_type: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class CreateJobRequest(_message.Message):
    __slots__ = ("request_id", "spec", "rerender", "decompose", "refine", "priority")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RERENDER_FIELD_NUMBER: _ClassVar[int]
    DECOMPOSE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    spec: GenerateSpec
    rerender: RerenderRequest
    decompose: DecomposeRequest
    refine: RefineRequest
    priority: JobPriority
    def __init__(self, request_id: _Optional[str] = ..., spec: _Optional[_Union[GenerateSpec, _Mapping]] = ..., rerender: _Optional[_Union[RerenderRequest, _Mapping]] = ..., decompose: _Optional[_Union[DecomposeRequest, _Mapping]] = ..., refine: _Optional[_Union[RefineRequest, _Mapping]] = ..., priority: _Optional[_Union[JobPriority, str]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "quarantined")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[JobState]
    quarantined: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[JobState, str]]] = ..., quarantined: bool = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("name", "from_revision", "previews")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_REVISION_FIELD_NUMBER: _ClassVar[int]
    PREVIEWS_FIELD_NUMBER: _ClassVar[int]
    name: str
    from_revision: int
    previews: bool
    def __init__(self, name: _Optional[str] = ..., from_revision: _Optional[int] = ..., previews: bool = ...) -> None: ...

class JobUpdate(_message.Message):
    __slots__ = ("job", "preview")
    JOB_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    job: Job
    preview: Preview
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., preview: _Optional[_Union[Preview, _Mapping]] = ...) -> None: ...
