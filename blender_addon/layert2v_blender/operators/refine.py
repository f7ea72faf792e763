"""A foreground of a stack gets another matte: images, a mask, or its own corrected by points."""

import uuid
from itertools import count
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from layert2v import stack as manifest
from layert2v.decompose import (
    COLOR_RANGES,
    MATRICES,
    Point,
    RefineSpec,
    refine_to_json,
    validate_refine,
)
from layert2v.errors import ContractError
from layert2v.stack import Role

from .. import render_plate, stack_list
from ..colorspaces import ColorspaceNotFound
from ..footage import mask_files
from ..footage.image_editor import shown_frame
from ..job_request import Request
from ..model import field_label, reading_items
from ..settings import preferences
from ..stack_view import LayerView
from ..views import images
from ..views.images import ImageNotFound
from .base import (
    CAN_CHANGE_LAYER,
    PollCheck,
    PollReasonMixin,
    check_layer,
    check_stack,
    require_layer,
    require_stack,
    submit,
    violations_text,
)
from .drawing import PointMixin, add_point, check_image

MATTE, REF = "matte", "ref"
_PICTURES = (("LAYER", "Layer", "The chosen layer"), ("FOOTAGE", "Footage", "What it is made of"))


def check_foreground(context: bpy.types.Context) -> str:
    """Return why the active layer cannot get another matte."""
    is_foreground = require_layer(context.scene).role == Role.foreground.value
    return "" if is_foreground else "Choose a foreground"


def check_mask(context: bpy.types.Context) -> str:
    """Return why there is no mask to refine with."""
    return "" if context.scene.layert2v.refine_mask else "Choose a mask"


def check_corrections(context: bpy.types.Context) -> str:
    """Return why there is nothing to correct the active layer by."""
    has_points = len(require_layer(context.scene).corrections) > 0
    return "" if has_points else "Click where the matte is wrong: On It or Beside"


HAS_FOREGROUND: tuple[PollCheck, ...] = (check_stack, check_layer, check_foreground)


class _RefineMixin(PollReasonMixin):
    report: Any  # of the operator

    def _refine(
        self, scene: bpy.types.Scene, paths: list[str], request_id: str = "", **fields: Any
    ) -> set[str]:
        """Send the refinement with the images of a matte, if any, and other fields of it."""
        item, layer = require_stack(scene), require_layer(scene)
        folder = stack_list.stack_folder(item)
        # What the artist sees: after an undo that is not the newest state in the folder.
        at = item.history[0].number if item.history else 0
        matte, compression = MATTE if paths else "", scene.layert2v.compression
        spec = RefineSpec(layer.name, matte, at=at, compression=compression, **fields)
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
            inputs={MATTE: paths} if paths else {},
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


class LAYERT2V_OT_correction_add(PointMixin, bpy.types.Operator):
    bl_idname = "layert2v.correction_add"
    bl_label = "Add Correction"
    bl_description = (
        "Click where the chosen foreground lacks something, or has too much, on the frame that "
        "is shown"
    )
    bl_options = {"REGISTER", "UNDO"}
    poll_checks = (*HAS_FOREGROUND, check_image)
    report: Any

    def add(self, context: bpy.types.Context, share: tuple[float, float]) -> None:
        item, frame = require_stack(context.scene), shown_frame(context)
        last = item.first_file + item.frames - 1
        if not item.first_file <= frame <= last:
            message = f"Frame {frame} is none of {item.name}'s {item.first_file} to {last}"
            self.report({"ERROR"}, f"{message}: press Layer or Footage to see those")
            return
        points = require_layer(context.scene).corrections
        add_point(points, frame, share, (item.width, item.height), outside=self.outside)


class LAYERT2V_OT_correction_clear(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.correction_clear"
    bl_label = "Clear Corrections"
    bl_description = "Remove the points that correct this foreground"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}
    poll_checks = HAS_FOREGROUND

    def execute(self, context: bpy.types.Context) -> set[str]:
        require_layer(context.scene).corrections.clear()
        return {"FINISHED"}


class LAYERT2V_OT_refine_points(_RefineMixin, bpy.types.Operator):
    bl_idname = "layert2v.refine_points"
    bl_label = "Refine with Points"
    bl_description = (
        "Correct the matte of this foreground around the points, on their frames and where the "
        "footage takes them, and solve it again"
    )
    poll_checks: tuple[PollCheck, ...] = (*CAN_CHANGE_LAYER, check_foreground, check_corrections)

    def execute(self, context: bpy.types.Context) -> set[str]:
        points = tuple(
            Point(point.frame, point.place[0], point.place[1], not point.outside)
            for point in require_layer(context.scene).corrections
        )
        return self._refine(context.scene, [], points=points)


class LAYERT2V_OT_show_picture(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.show_picture"
    bl_label = "Show in the Image Editor"
    bl_description = "Show the chosen layer, or the footage of its stack, in this editor"
    bl_options = {"REGISTER", "INTERNAL"}
    poll_checks: tuple[PollCheck, ...] = (check_stack, check_layer)
    report: Any

    picture: EnumProperty(items=_PICTURES)

    def execute(self, context: bpy.types.Context) -> set[str]:
        view = stack_list.stack_view(require_stack(context.scene))
        name, space = require_layer(context.scene).name, context.space_data
        zoom = space.zoom_percentage
        try:
            if self.picture == "FOOTAGE":
                shown = LayerView(name=REF, pattern=manifest.read(view.folder).flat(REF).pattern)
            else:
                shown = next(layer for layer in view.layers if layer.name == name)
            space.image = images.load_image(view, shown)
        except (ContractError, ImageNotFound, ColorspaceNotFound) as error:
            self.report({"ERROR"}, getattr(error, "message", str(error)))
            return {"CANCELLED"}
        except KeyError:
            self.report({"ERROR"}, "This stack lacks its footage, ref: show a layer instead")
            return {"CANCELLED"}
        images.set_frame_range(space.image_user, view)
        space.zoom_percentage = zoom  # another image changes it
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_OT_refine_files,
    LAYERT2V_OT_refine_mask,
    LAYERT2V_OT_correction_add,
    LAYERT2V_OT_correction_clear,
    LAYERT2V_OT_refine_points,
    LAYERT2V_OT_show_picture,
)
