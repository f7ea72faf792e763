"""Requests about footage with the files that come along, checked and ready to be staged.

Blocking; the submission calls it in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from layert2v.decompose import (
    RefineSpec,
    refine_files,
    resolve_refine,
    validate_decompose,
    validate_refine,
)
from layert2v.image_sequence import is_image, is_movie
from layert2v.spec import FieldViolation
from layert2v.stack import FileRecord
from layert2v_server.domain.request import (
    DecomposeRequest,
    ImageSequence,
    RefineRequest,
    Source,
)
from layert2v_server.service.sources import (
    SourceResolver,
    SourceStates,
    check_amounts,
    check_images,
    unopened_files,
)

Inputs = Mapping[str, Source | ImageSequence]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedDecompose:
    """A request whose files are named."""

    request: DecomposeRequest

    @property
    def name(self) -> str:
        """The name of the footage, for people."""
        spec = self.request.spec
        footage = self.request.inputs.get(spec.footage.input)
        files = footage.files if isinstance(footage, ImageSequence) else ()
        return spec.name or (PurePosixPath(files[0].path).name if files else "")

    def violations(self) -> list[FieldViolation]:
        """Return everything that keeps the request from being carried out on any footage."""
        spec = self.request.spec
        wrong = validate_decompose(spec)
        return wrong or [*_check_inputs(spec.input_keys, self.request.inputs)]

    def required_files(self) -> dict[str, FileRecord]:
        """Return the files that must be here, by their path in the staged folder."""
        return _input_files(self.request.inputs)

    def optional_files(self) -> dict[str, FileRecord]:
        """Return nothing: no stack comes along."""
        return {}

    def unopened_files(self) -> set[str]:
        """Return nothing: every file is opened."""
        return set()

    def texts(self) -> dict[str, str]:
        """Return nothing: no manifest comes along."""
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedRefine:
    """A request whose stack was read."""

    request: RefineRequest
    source: SourceStates

    def violations(self) -> list[FieldViolation]:
        """Return everything that keeps the request from being carried out on its stack."""
        spec = self.request.spec
        wrong = validate_refine(spec, self.source.start)
        return wrong or [*_check_inputs(spec.input_keys, self.request.inputs)]

    def complete_spec(self) -> RefineSpec:
        """Return the request's spec with every default filled in."""
        return resolve_refine(self.request.spec, self.source.start)

    def required_files(self) -> dict[str, FileRecord]:
        """Return the files that must be here, by their path in the staged folder."""
        files = {f"stack/{file.path}": file for file in refine_files(self.source.start)}
        return files | _input_files(self.request.inputs)

    def optional_files(self) -> dict[str, FileRecord]:
        """Return the files of every state, by path; those that are here are taken along."""
        states = self.source.states
        return {f"stack/{file.path}": file for state in states for file in state.files()}

    def unopened_files(self) -> set[str]:
        """Return the paths in the staged folder that nothing opens as an image."""
        return unopened_files(("stack", state) for state in self.source.states)

    def texts(self) -> dict[str, str]:
        """Return the manifests by their path in the staged folder."""
        return {f"stack/{path}": text for path, text in self.source.manifests.items()}


def resolve_decompose_request(request: DecomposeRequest) -> ResolvedDecompose:
    """Return the request, if not too much comes along. Raises ``SpecRejected``."""
    check_amounts(request, [])
    return ResolvedDecompose(request=request)


def resolve_refine_request(
    sources: SourceResolver, owner: str, request: RefineRequest
) -> ResolvedRefine:
    """Read the stack of a request.

    Raises ``SpecRejected``, ``SourceNotFound``, ``InvalidSource`` and ``FilesMissing``.
    """
    check_amounts(request, [])
    source = sources.read_source(owner, request.source, request.spec.at)
    return ResolvedRefine(request=request, source=source)


def _input_files(inputs: Inputs) -> dict[str, FileRecord]:
    return {
        f"inputs/{key}/{file.path}": file
        for key, source in inputs.items()
        if isinstance(source, ImageSequence)
        for file in source.files
    }


def _check_inputs(wanted: tuple[str, ...], given: Inputs) -> Iterator[FieldViolation]:
    for key in dict.fromkeys((*wanted, *given)):
        where, source = f"inputs[{key}]", given.get(key)
        if source is None:
            yield FieldViolation(where, f"The request names the input {key!r}, but has none.")
        elif key not in wanted:
            yield FieldViolation(where, f"Nothing in the request names the input {key!r}.")
        elif not isinstance(source, ImageSequence):
            yield FieldViolation(where, f"The input {key!r} must be pictures or a movie.")
        else:
            yield from check_images(where, source)
            yield from _check_names(where, source)


def _check_names(where: str, source: ImageSequence) -> Iterator[FieldViolation]:
    """Yield where the names are neither all of pictures nor that of one movie."""
    paths = [PurePosixPath(file.path) for file in source.files]
    if len(paths) == 1 and is_movie(paths[0]):
        return
    other = next((path for path in paths if not is_image(path)), None)
    if other is not None:
        message = f"{other.name!r} is no picture; give pictures, or one movie alone."
        yield FieldViolation(where, message)
