"""Pictures of the artist's own as a layer that is never drawn: files, a render, a compositor's
output."""

import uuid
from dataclasses import replace
from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from layert2v.rerender import Plate, RerenderSpec

from .. import render_plate, stack_list
from ..model import active_layer, active_stack
from .base import Explained, no_change
from .layers import addition, change, no_layer

KEY = "plate"
USES = (
    ("BACKGROUND", "Background", "Swap the background for these pictures"),
    ("FOREGROUND", "New Foreground", "Put these pictures above the chosen layer"),
    ("LAYER", "Chosen Layer", "Swap the chosen layer for these pictures"),
)
COLORSPACES = (
    ("AUTO", "By File Type", "Linear Rec.709 for EXR and HDR, sRGB for the others"),
    ("lin_rec709_scene", "Linear Rec.709", ""),
    ("lin_ap1_scene", "ACEScg", ""),
    ("lin_ap0_scene", "ACES2065-1", ""),
    ("lin_rec2020_scene", "Linear Rec.2020", ""),
    ("srgb_rec709_scene", "sRGB", ""),
)
ALPHAS = (
    ("AUTO", "By Use", "Opaque for a background, otherwise as the file type has it"),
    ("premultiplied", "Premultiplied", ""),
    ("straight", "Straight", ""),
    ("opaque", "Opaque", "Ignore the alpha channel"),
)
LINEAR_FILES = {".exr", ".hdr"}


def with_plate(scene: bpy.types.Scene, use: str, plate: Plate) -> RerenderSpec:
    """The request that puts a plate where it is wanted."""
    if use == "FOREGROUND":
        return replace(addition(scene), plate=plate)
    name = "bg" if use == "BACKGROUND" else active_layer(scene).name
    return RerenderSpec(action="replace", layers=(name,), plate=plate)


class LAYERT2V_OT_plate_files(Explained, bpy.types.Operator):
    """Use an image sequence, or one picture for all frames, as a layer"""

    bl_idname = "layert2v.plate_files"
    bl_label = "Use Images as a Layer"

    directory: StringProperty(subtype="DIR_PATH")
    files: CollectionProperty(type=bpy.types.OperatorFileListElement)
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    use: EnumProperty(name="As", items=USES)
    colorspace: EnumProperty(name="Color Space", items=COLORSPACES)
    alpha: EnumProperty(name="Alpha", items=ALPHAS)
    scale: BoolProperty(name="Scale to Fit", description="Otherwise another size is refused")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return no_change(context) or no_layer(context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = sorted(one.name for one in self.files if one.name)
        if not names:
            self.report({"ERROR"}, "Choose the pictures of the sequence")
            return {"CANCELLED"}
        linear = Path(names[0]).suffix.lower() in LINEAR_FILES
        alpha = "premultiplied" if linear else "straight"
        if self.use == "BACKGROUND":
            alpha = "opaque"
        automatic = "lin_rec709_scene" if linear else "srgb_rec709_scene"
        plate = Plate(
            input=KEY,
            colorspace=automatic if self.colorspace == "AUTO" else self.colorspace,
            alpha=alpha if self.alpha == "AUTO" else self.alpha,
            fit="fit" if self.scale else "exact",
        )
        paths = [str(Path(bpy.path.abspath(self.directory)) / name) for name in names]
        spec = with_plate(context.scene, self.use, plate)
        return change(self, context.scene, spec, inputs={KEY: paths})


class _PlateRender(Explained):
    """Renders the stack's frames in the background of the interface, then sends them."""

    composited: bool
    use: EnumProperty(name="As", items=USES)

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return no_change(context) or no_layer(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        self._begin(context.scene)
        try:
            bpy.ops.render.render(animation=True, scene=context.scene.name)
        finally:
            self._settings.restore()
        return self._send(context.scene)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self._begin(context.scene)
        bpy.ops.render.render("INVOKE_DEFAULT", animation=True, scene=context.scene.name)
        self._timer = context.window_manager.event_timer_add(0.2, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type != "TIMER" or bpy.app.is_job_running("RENDER"):
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        self._settings.restore()
        return self._send(context.scene)

    def _begin(self, scene: bpy.types.Scene) -> None:
        self._id = str(uuid.uuid4())
        self._settings = render_plate.RenderSettings()
        self._settings.apply(
            scene,
            stack_list.shown(active_stack(scene)),
            self._id,
            composited=self.composited,
            transparent=self.use != "BACKGROUND",
        )

    def _send(self, scene: bpy.types.Scene) -> set[str]:
        files = render_plate.files(self._id, active_stack(scene).frames)
        result = {"CANCELLED"}
        if files:
            alpha = "opaque" if self.use == "BACKGROUND" else "premultiplied"
            plate = Plate(input=KEY, colorspace=render_plate.COLORSPACE, alpha=alpha)
            spec = with_plate(scene, self.use, plate)
            result = change(self, scene, spec, inputs={KEY: files}, request_id=self._id)
        else:
            self.report({"WARNING"}, "The render did not come to its end, so nothing is changed")
        if result == {"CANCELLED"}:
            render_plate.forget(self._id)
        return result


class LAYERT2V_OT_plate_render(_PlateRender, bpy.types.Operator):
    """Render the 3D scene at the stack's size and frames and use it as a layer"""

    bl_idname = "layert2v.plate_render"
    bl_label = "Use a Render as a Layer"
    composited = False

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        no_camera = "" if context.scene.camera else "The scene has no active camera"
        return super().why_not(context) or no_camera


class LAYERT2V_OT_plate_compositor(_PlateRender, bpy.types.Operator):
    """Render the compositor's output at the stack's size and frames and use it as a layer"""

    bl_idname = "layert2v.plate_compositor"
    bl_label = "Use the Compositor's Output as a Layer"
    composited = True


CLASSES = (LAYERT2V_OT_plate_files, LAYERT2V_OT_plate_render, LAYERT2V_OT_plate_compositor)
