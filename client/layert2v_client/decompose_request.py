"""Request a stack of footage, or a new matte for a layer of one: check, upload, build the message.

Knows stack folders, footage on this machine, and the messages; not what is made of it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from layert2v import image_sequence
from layert2v import stack as manifests
from layert2v.decompose import (
    DecomposeSpec,
    RefineSpec,
    refine_files,
    validate_decompose,
    validate_refine,
)
from layert2v.spec import FieldViolation
from layert2v.stack import Stack, is_safe_path
from layert2v.v1 import jobs_pb2
from layert2v.wire import decompose_to_message, refine_to_message
from layert2v_client.connection import Connection
from layert2v_client.errors import InvalidRequest
from layert2v_client.request_files import (
    Input,
    RequestFiles,
    Source,
    find_images,
    manifest_without,
)
from layert2v_client.transfer import TransferOptions


def prepare_decompose(
    connection: Connection,
    spec: DecomposeSpec,
    inputs: Mapping[str, Input],
    request_id: uuid.UUID,
    options: TransferOptions,
) -> jobs_pb2.CreateJobRequest:
    """Return the request for a stack of footage, once the server has every file that it takes.

    Of footage in files, only the frames of the range are uploaded, unless a movie beside it is
    counted from its first frame. Raises ``InvalidRequest``,
    before anything is sent, ``Cancelled`` or another ``ClientError``.
    """
    paths = check_decompose(spec, inputs)
    if not spec.name:
        spec = replace(spec, name=footage_name(inputs[spec.footage.input], paths))
    request = jobs_pb2.DecomposeRequest(spec=_decompose_message(spec))
    files = RequestFiles(connection, options)
    for key, given in paths.items():
        request.inputs[key].list.files.extend(files.add_files(given, _remote_names(given)))
    files.upload_missing(request_id)
    return jobs_pb2.CreateJobRequest(request_id=str(request_id), decompose=request)


def prepare_refine(
    connection: Connection,
    source: Source,
    spec: RefineSpec,
    inputs: Mapping[str, Input],
    request_id: uuid.UUID,
    options: TransferOptions,
    with_states: bool = True,
) -> jobs_pb2.CreateJobRequest:
    """Return the request for a new matte, once the server has every file that it takes.

    ``with_states`` is that of ``rerender_request.prepare_request``, and so are the errors.
    """
    paths = {key: find_footage(_input(inputs, key)) for key in spec.input_keys}
    request = jobs_pb2.RefineRequest(spec=refine_to_message(spec))
    files = RequestFiles(connection, options)
    if isinstance(source, Path):
        newest, at = manifests.read(source), spec.at
        start = manifests.start_of(newest, at, partial(manifests.read_state, source))
        check_refine(spec, start)
        lost = files.add_stack(source, refine_files(start))
        request.manifest = manifest_without(newest, lost)
        if at not in (0, newest.state):
            request.state = manifest_without(manifests.read_state(source, at), lost)
        if with_states:
            files.add_states(request, source, newest, at)
    else:
        request.job = source
    for key, given in paths.items():
        request.inputs[key].list.files.extend(files.add_files(given, _remote_names(given)))
    files.upload_missing(request_id)
    return jobs_pb2.CreateJobRequest(request_id=str(request_id), refine=request)


def check_decompose(spec: DecomposeSpec, inputs: Mapping[str, Input]) -> dict[str, list[Path]]:
    """Return the files of each input that the request takes, or say what is wrong with it.

    Raises ``InvalidRequest``.
    """
    wrong = validate_decompose(spec)
    if wrong:
        raise _invalid_error("The footage cannot be decomposed so: ", wrong)
    paths = {
        key: find_footage(_input(inputs, key), may_have_gaps=key in spec.hint_keys)
        for key in spec.input_keys
    }
    footage = spec.footage.input
    if any(_is_counted(files) for key, files in paths.items() if key != footage):
        return paths
    return {**paths, footage: _frames_of_range(paths[footage], spec)}


def _is_counted(paths: Sequence[Path]) -> bool:
    """Tell whether pictures belong to frames in their order, from the first of the footage on."""
    is_movie = image_sequence.is_movie(paths[0])
    return is_movie or (len(paths) > 1 and image_sequence.frame_number(paths) is None)


def check_refine(spec: RefineSpec, start: Stack) -> None:
    """Raise ``InvalidRequest`` where the request does not fit the state that it starts from."""
    wrong = validate_refine(spec, start)
    if wrong:
        raise _invalid_error("The layer cannot be refined so: ", wrong)


def find_footage(given: Input, *, may_have_gaps: bool = False) -> list[Path]:
    """Return the files that are meant: one movie, or the frames of a sequence in order.

    ``given`` is a movie, an image, a folder with either, files, or a pattern such as
    ``shot.####.exr``; ``may_have_gaps`` is that of ``find_images``. Raises ``InvalidRequest``.
    """
    if isinstance(given, Path):
        given = image_sequence.find_existing(given)
        if given.is_dir():
            movies = [path for path in given.iterdir() if image_sequence.is_movie(path)]
            if len(movies) == 1 and not any(map(image_sequence.is_image, given.iterdir())):
                return movies
        elif image_sequence.is_movie(given):
            return [_existing(given)]
        elif image_sequence.is_pattern(given) and not given.exists():
            return _find_pattern(given, may_have_gaps=may_have_gaps)
        else:
            _existing(given)
    elif not isinstance(given, str) and len(given) == 1:
        return find_footage(given[0], may_have_gaps=may_have_gaps)
    return find_images(given, may_have_gaps=may_have_gaps)


def footage_name(given: Input, paths: Mapping[str, Sequence[Path]]) -> str:
    """Return what footage is called: its file or its folder, without numbers and endings."""
    first = given if isinstance(given, Path) else next(iter(paths.values()))[0]
    stem = first.name if first.is_dir() else first.name.partition(".")[0]
    return re.sub(r"[_.#%-]+[0-9d]*$", "", stem) or stem


def _frames_of_range(paths: list[Path], spec: DecomposeSpec) -> list[Path]:
    """Return the frames that the request reads; all where the names do not tell which."""
    first = image_sequence.frame_number(paths)
    is_movie = image_sequence.is_movie(paths[0])
    if first is None or is_movie or spec.footage.start_frame is not None:
        return paths
    last = first + len(paths) - 1
    wanted_first = first if spec.first is None else spec.first
    wanted_last = last if spec.last is None else spec.last
    if wanted_first < first or wanted_last > last:
        missing = f"{wanted_first} to {wanted_last}"
        message = f"The footage has the frames {first} to {last}, but {missing} were asked for."
        raise InvalidRequest("FRAMES_MISSING", message, "Give another range.")
    low = max(wanted_first - spec.handles - first, 0)
    return paths[low : wanted_last + spec.handles - first + 1]


def _find_pattern(pattern: Path, *, may_have_gaps: bool) -> list[Path]:
    try:
        found = image_sequence.find_pattern(pattern)
    except OSError as error:
        message = f"{pattern.parent} cannot be read: {error.strerror}."
        raise InvalidRequest("INPUT_UNREADABLE", message) from error
    if not found:
        message = f"No file is called like {pattern}."
        raise InvalidRequest("INPUT_EMPTY", message, "Write # for the digits of the number.")
    ordered = list(image_sequence.sort_naturally(found))
    wrong = image_sequence.sequence_error(ordered, may_have_gaps=may_have_gaps)
    if wrong:
        raise InvalidRequest("INPUT_MIXED", f"{pattern} is not complete: {wrong}")
    return ordered


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    raise InvalidRequest(
        "INPUT_EMPTY",
        f"There is no movie and no image at {path}.",
        "Give a movie, a folder of images, or a pattern such as shot.####.exr.",
    )


def _remote_names(paths: Sequence[Path]) -> list[str]:
    """Return names for the server that keep the numbers of frames."""
    if all(is_safe_path(path.name) for path in paths):
        return [path.name for path in paths]
    suffix = paths[0].suffix.lower()
    numbers = image_sequence.frame_numbers(paths)
    if not numbers or image_sequence.is_movie(paths[0]):
        return [f"footage{suffix}"]
    named = zip(numbers, paths, strict=True)
    return [f"frame.{number:06d}{path.suffix.lower()}" for number, path in named]


def _input(inputs: Mapping[str, Input], key: str) -> Input:
    if key not in inputs:
        raise _invalid_error("", [FieldViolation("inputs", f"There are no pictures for {key!r}.")])
    return inputs[key]


def _decompose_message(spec: DecomposeSpec) -> jobs_pb2.DecomposeSpec:
    try:
        return decompose_to_message(spec)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(
            "SPEC_INVALID",
            f"The request holds a number that is too large or text that is not Unicode: {error}.",
        ) from error


def _invalid_error(beginning: str, violations: Sequence[FieldViolation]) -> InvalidRequest:
    message = beginning + " ".join(violation.message for violation in violations)
    return InvalidRequest("SPEC_REJECTED", message, "", tuple(violations))
