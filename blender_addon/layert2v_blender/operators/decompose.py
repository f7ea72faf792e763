"""Footage is taken apart into layers."""

import uuid
from typing import Any

import bpy

from layert2v.decompose import (
    FOOTAGE,
    DecomposeSpec,
    Footage,
    decompose_to_json,
    validate_decompose,
)
from layert2v.stack import slug

from .. import render_plate, versions
from ..footage import mask_files
from ..footage import spec as footage_specs
from ..footage.sources import (
    FootageFiles,
    FootageMissing,
    find_footage,
    footage_title,
    measure_size,
)
from ..job_request import Request
from ..model import RENDERED_FOOTAGE
from ..settings import preferences
from .base import PollCheck, check_connection, submit, violations_text
from .generate import new_stack_folder
from .plates import check_camera
from .scene_render import SceneRenderMixin


def check_footage(context: bpy.types.Context) -> str:
    """Return why there is no footage to take apart."""
    panel = context.scene.layert2v
    if panel.footage_kind == "RENDER":
        return check_camera(context)
    if panel.footage_kind == "COMPOSITOR":
        return ""
    try:
        find_footage(panel, _active_strip(context))
    except FootageMissing as error:
        return str(error)
    return ""


class LAYERT2V_OT_decompose(SceneRenderMixin, bpy.types.Operator):
    bl_idname = "layert2v.decompose"
    bl_label = "Decompose"
    bl_description = (
        "Make layers of footage: a background without the subjects, their shadows, each subject. "
        "Blender stays free while the server works"
    )
    poll_checks: tuple[PollCheck, ...] = (check_connection, check_footage)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, panel = context.scene, context.scene.layert2v
        if panel.footage_kind in RENDERED_FOOTAGE:
            return self.render_and_submit(scene)
        self._request_id = str(uuid.uuid4())
        found = find_footage(panel, _active_strip(context))
        return self._send(scene, found, footage_specs.files_as_footage(panel))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        is_rendered = context.scene.layert2v.footage_kind in RENDERED_FOOTAGE
        return self.start_render(context) if is_rendered else self.execute(context)

    def apply_settings(self, scene: bpy.types.Scene, settings: render_plate.RenderSettings) -> None:
        is_composited = scene.layert2v.footage_kind == "COMPOSITOR"
        settings.apply_to_scene(scene, self._request_id, composited=is_composited)

    def submit_render(self, scene: bpy.types.Scene) -> set[str]:
        frames = scene.frame_end - scene.frame_start + 1
        files = render_plate.plate_files(self._request_id, frames)
        if not files:
            self.report({"WARNING"}, "The render did not come to its end, so nothing is sent")
            return {"CANCELLED"}
        colorspace, _ = render_plate.plate_colorspace()
        found = FootageFiles(name=scene.name, paths=files, size=render_plate.render_size(scene))
        rate = scene.render.fps / scene.render.fps_base
        return self._send(scene, found, Footage(colorspace=colorspace, fps=rate))

    def _send(self, scene: bpy.types.Scene, found: FootageFiles, footage: Footage) -> set[str]:
        panel = scene.layert2v
        title = footage_title(found.name)
        folder = new_stack_folder(scene, title)
        spec = footage_specs.decompose_spec(panel, found, footage, slug(title))
        violations = validate_decompose(spec)
        if violations:
            self.report({"ERROR"}, violations_text(violations))
            return {"CANCELLED"}
        try:
            mattes = self._write_mattes(scene, spec, found)
        except FootageMissing as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        request = Request(
            kind="decompose",
            title=folder.name,
            folder=str(folder),
            server=preferences().server,
            spec=decompose_to_json(spec),
            inputs={FOOTAGE: found.paths, **mattes},
            target=panel.target,
            split_at_cuts=panel.footage_split,
            id=self._request_id,
        )
        result = submit(self, scene, request)
        if result == {"CANCELLED"}:
            render_plate.delete_plate(self._request_id)
        return result

    def _write_mattes(
        self, scene: bpy.types.Scene, spec: DecomposeSpec, found: FootageFiles
    ) -> dict[str, list[str]]:
        """Write the masks of the subjects as images, and return them by their keys."""
        written = {}
        for index, item in enumerate(scene.layert2v.subjects):
            if item.mask is None:
                continue
            frames = {item.frame: scene.frame_current}
            if item.mask_all:
                frames = _all_frames(scene, spec)
            key = footage_specs.matte_key(index)
            folder = render_plate.plate_folder(self._request_id) / key
            size = measure_size(found)
            written[key] = mask_files.write_mask(item.mask, folder, frames, size)
        return written


def _all_frames(scene: bpy.types.Scene, spec: DecomposeSpec) -> dict[int, int]:
    """Return the scene's frame for each of the footage: both begin together."""
    if spec.first is None or spec.last is None:
        raise FootageMissing("Say which frames are meant, so that the mask can have one for each")
    numbers = range(max(spec.first - spec.handles, 0), spec.last + spec.handles + 1)
    return {number: scene.frame_start + number - spec.first for number in numbers}


def _active_strip(context: bpy.types.Context) -> Any:
    editor = versions.sequencer_scene(context).sequence_editor
    return None if editor is None else editor.active_strip


CLASSES = (LAYERT2V_OT_decompose,)
