"""Footage: take it apart into layers, and give a layer of such a stack another matte."""

import uuid
from itertools import count
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from layert2v import stack as manifest
from layert2v.decompose import (
    COLOR_RANGES,
    FOOTAGE,
    MATRICES,
    DecomposeSpec,
    Footage,
    RefineSpec,
    decompose_to_json,
    refine_to_json,
    validate_decompose,
    validate_refine,
)
from layert2v.errors import ContractError
from layert2v.stack import Role, slug

from .. import render_plate, stack_list, versions
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
from ..model import RENDERED_FOOTAGE, field_label, reading_items
from ..settings import preferences
from .base import (
    CAN_CHANGE_LAYER,
    PollCheck,
    PollReasonMixin,
    check_connection,
    require_layer,
    require_stack,
    submit,
    violations_text,
)
from .generate import new_stack_folder
from .plates import check_camera
from .scene_render import SceneRenderMixin

MATTE = "matte"


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


def check_foreground(context: bpy.types.Context) -> str:
    """Return why the active layer cannot get another matte."""
    is_foreground = require_layer(context.scene).role == Role.foreground.value
    return "" if is_foreground else "Choose a foreground"


def check_mask(context: bpy.types.Context) -> str:
    """Return why there is no mask to refine with."""
    return "" if context.scene.layert2v.refine_mask else "Choose a mask"


class _RefineMixin(PollReasonMixin):
    report: Any  # of the operator

    def _refine(
        self,
        scene: bpy.types.Scene,
        paths: list[str],
        request_id: str = "",
        **reading: Any,
    ) -> set[str]:
        """Send the refinement; ``reading`` says how a movie of the matte is read."""
        item, layer = require_stack(scene), require_layer(scene)
        folder = stack_list.stack_folder(item)
        # What the artist sees: after an undo that is not the newest state in the folder.
        at = item.history[0].number if item.history else 0
        compression = scene.layert2v.compression
        spec = RefineSpec(layer.name, MATTE, at=at, compression=compression, **reading)
        try:
            violations = validate_refine(spec, manifest.read_start(folder, at))
        except ContractError as error:
            self.report({"ERROR"}, error.message)
            return {"CANCELLED"}
        if violations:
            self.report({"ERROR"}, violations_text(violations))
            return {"CANCELLED"}
        request = Request(
            kind="refine",
            title=f"{item.name}: refine {layer.name}",
            folder=str(folder),
            server=preferences().server,
            spec=refine_to_json(spec),
            inputs={MATTE: paths},
            stack=item.uid,
        )
        request.id = request_id or request.id
        return submit(self, scene, request)


class LAYERT2V_OT_refine_files(_RefineMixin, bpy.types.Operator):
    bl_idname = "layert2v.refine_files"
    bl_label = "Refine with Images"
    bl_description = "Give this foreground a matte of your own, white inside, and solve it again"
    poll_checks: tuple[PollCheck, ...] = (*CAN_CHANGE_LAYER, check_foreground)

    directory: StringProperty(subtype="DIR_PATH")
    files: CollectionProperty(type=bpy.types.OperatorFileListElement)
    matrix: EnumProperty(**field_label("footage_matrix"), items=reading_items(MATRICES))
    color_range: EnumProperty(
        **field_label("footage_color_range"), items=reading_items(COLOR_RANGES)
    )
    deinterlace: BoolProperty(**field_label("footage_deinterlace"))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = sorted(file.name for file in self.files if file.name)
        if not names:
            self.report({"ERROR"}, "Choose the images of the matte")
            return {"CANCELLED"}
        folder = Path(bpy.path.abspath(self.directory))
        paths = [str(folder / name) for name in names]
        return self._refine(
            context.scene,
            paths,
            matrix=self.matrix,
            color_range=self.color_range,
            deinterlace=self.deinterlace,
        )


class LAYERT2V_OT_refine_mask(_RefineMixin, bpy.types.Operator):
    bl_idname = "layert2v.refine_mask"
    bl_label = "Refine with a Mask"
    bl_description = "Take the mask as the matte of this foreground, and solve it again"
    poll_checks: tuple[PollCheck, ...] = (*CAN_CHANGE_LAYER, check_foreground, check_mask)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, item = context.scene, require_stack(context.scene)
        request_id = str(uuid.uuid4())
        places = zip(count(item.first_file), count(item.first_frame), strict=False)
        frames = {
            number: frame for _, (number, frame) in zip(range(item.frames), places, strict=False)
        }
        folder = render_plate.plate_folder(request_id) / MATTE
        size = (item.width, item.height)
        paths = mask_files.write_mask(scene.layert2v.refine_mask, folder, frames, size)
        result = self._refine(scene, paths, request_id)
        if result == {"CANCELLED"}:
            render_plate.delete_plate(request_id)
        return result


CLASSES = (LAYERT2V_OT_decompose, LAYERT2V_OT_refine_files, LAYERT2V_OT_refine_mask)
