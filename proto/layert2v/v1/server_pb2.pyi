from layert2v.v1 import jobs_pb2 as _jobs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("version", "models", "capabilities", "limits", "storage", "devices", "account")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    version: str
    models: _containers.RepeatedCompositeFieldContainer[Model]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    storage: Storage
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    account: Account
    def __init__(self, version: _Optional[str] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., capabilities: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., storage: _Optional[_Union[Storage, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "title", "digest", "width_range", "height_range", "size_step", "frames_range", "frames_step", "max_foregrounds", "default_width", "default_height", "default_frames", "default_fps", "default_steps", "default_guidance", "steps_range", "guidance_range", "source_colorspace", "abilities", "vocabulary", "colorspaces", "presets")
    class VocabularyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Words
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Words, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    WIDTH_RANGE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_RANGE_FIELD_NUMBER: _ClassVar[int]
    SIZE_STEP_FIELD_NUMBER: _ClassVar[int]
    FRAMES_RANGE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_FOREGROUNDS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_WIDTH_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FRAMES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FPS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_STEPS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_GUIDANCE_FIELD_NUMBER: _ClassVar[int]
    STEPS_RANGE_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_RANGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_COLORSPACE_FIELD_NUMBER: _ClassVar[int]
    ABILITIES_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    COLORSPACES_FIELD_NUMBER: _ClassVar[int]
    PRESETS_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    digest: str
    width_range: IntRange
    height_range: IntRange
    size_step: int
    frames_range: IntRange
    frames_step: int
    max_foregrounds: int
    default_width: int
    default_height: int
    default_frames: int
    default_fps: float
    default_steps: int
    default_guidance: float
    steps_range: IntRange
    guidance_range: DoubleRange
    source_colorspace: str
    abilities: _containers.RepeatedScalarFieldContainer[str]
    vocabulary: _containers.MessageMap[str, Words]
    colorspaces: _containers.RepeatedScalarFieldContainer[str]
    presets: _containers.RepeatedCompositeFieldContainer[Preset]
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., digest: _Optional[str] = ..., width_range: _Optional[_Union[IntRange, _Mapping]] = ..., height_range: _Optional[_Union[IntRange, _Mapping]] = ..., size_step: _Optional[int] = ..., frames_range: _Optional[_Union[IntRange, _Mapping]] = ..., frames_step: _Optional[int] = ..., max_foregrounds: _Optional[int] = ..., default_width: _Optional[int] = ..., default_height: _Optional[int] = ..., default_frames: _Optional[int] = ..., default_fps: _Optional[float] = ..., default_steps: _Optional[int] = ..., default_guidance: _Optional[float] = ..., steps_range: _Optional[_Union[IntRange, _Mapping]] = ..., guidance_range: _Optional[_Union[DoubleRange, _Mapping]] = ..., source_colorspace: _Optional[str] = ..., abilities: _Optional[_Iterable[str]] = ..., vocabulary: _Optional[_Mapping[str, Words]] = ..., colorspaces: _Optional[_Iterable[str]] = ..., presets: _Optional[_Iterable[_Union[Preset, _Mapping]]] = ...) -> None: ...

class Preset(_message.Message):
    __slots__ = ("name", "width", "height", "frames", "steps", "guidance")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    width: int
    height: int
    frames: int
    steps: int
    guidance: float
    def __init__(self, name: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., frames: _Optional[int] = ..., steps: _Optional[int] = ..., guidance: _Optional[float] = ...) -> None: ...

class IntRange(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class DoubleRange(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class Words(_message.Message):
    __slots__ = ("words",)
    WORDS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_message_bytes", "max_open_jobs", "max_upload_bytes")
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_JOBS_FIELD_NUMBER: _ClassVar[int]
    MAX_UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_message_bytes: int
    max_open_jobs: int
    max_upload_bytes: int
    def __init__(self, max_message_bytes: _Optional[int] = ..., max_open_jobs: _Optional[int] = ..., max_upload_bytes: _Optional[int] = ...) -> None: ...

class Storage(_message.Message):
    __slots__ = ("used_bytes", "free_bytes", "problem")
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    used_bytes: int
    free_bytes: int
    problem: str
    def __init__(self, used_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("user", "used_bytes", "max_bytes", "open_jobs", "max_open_jobs", "queued_jobs", "priorities")
    USER_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_JOBS_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_JOBS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_JOBS_FIELD_NUMBER: _ClassVar[int]
    PRIORITIES_FIELD_NUMBER: _ClassVar[int]
    user: str
    used_bytes: int
    max_bytes: int
    open_jobs: int
    max_open_jobs: int
    queued_jobs: int
    priorities: _containers.RepeatedScalarFieldContainer[_jobs_pb2.JobPriority]
    def __init__(self, user: _Optional[str] = ..., used_bytes: _Optional[int] = ..., max_bytes: _Optional[int] = ..., open_jobs: _Optional[int] = ..., max_open_jobs: _Optional[int] = ..., queued_jobs: _Optional[int] = ..., priorities: _Optional[_Iterable[_Union[_jobs_pb2.JobPriority, str]]] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("name", "memory_bytes", "ready")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    name: str
    memory_bytes: int
    ready: bool
    def __init__(self, name: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., ready: bool = ...) -> None: ...
