"""The artist's own pictures as a layer: files, a render, the compositor's output."""

from dataclasses import replace
from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from layert2v.labels import LABELS
from layert2v.rerender import AUTO, Plate, RerenderSpec

from .. import render_plate, stack_list
from .base import CAN_CHANGE_LAYER, PollCheck, PollReasonMixin, require_layer, require_stack
from .layers import add_spec, change_stack
from .scene_render import SceneRenderMixin

INPUT_KEY = "plate"
USES = (
    ("BACKGROUND", "Background", "Swap the background for these pictures"),
    ("FOREGROUND", "New Foreground", "Put these pictures above the chosen layer"),
    ("LAYER", "Chosen Layer", "Swap the chosen layer for these pictures"),
)
COLORSPACES = (
    ("AUTO", "By File", "What the files say; else the stack's own for EXR, sRGB for the others"),
    ("lin_rec709_scene", "Linear Rec.709", ""),
    ("lin_ap1_scene", "ACEScg", ""),
    ("lin_ap0_scene", "ACES2065-1", ""),
    ("lin_rec2020_scene", "Linear Rec.2020", ""),
    ("srgb_rec709_scene", "sRGB", ""),
)
ALPHAS = (
    ("AUTO", "By Use", "Opaque for a background, otherwise what the files say"),
    ("premultiplied", "Premultiplied", ""),
    ("straight", "Straight", ""),
    ("opaque", "Opaque", "Ignore the alpha channel"),
)


def plate_spec(scene: bpy.types.Scene, use: str, plate: Plate) -> RerenderSpec:
    """Return the request that puts a plate where ``use`` says."""
    if use == "FOREGROUND":
        return replace(add_spec(scene), plate=plate)
    name = "bg" if use == "BACKGROUND" else require_layer(scene).name
    return RerenderSpec(action="replace", layers=(name,), plate=plate)


class LAYERT2V_OT_plate_files(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.plate_files"
    bl_label = "Use Images as a Layer"
    bl_description = "Use an image sequence, or one picture for all frames, as a layer"
    poll_checks = CAN_CHANGE_LAYER

    directory: StringProperty(subtype="DIR_PATH")
    files: CollectionProperty(type=bpy.types.OperatorFileListElement)
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    use: EnumProperty(name="As", items=USES)
    colorspace: EnumProperty(name=LABELS["colorspace"].text, items=COLORSPACES)
    alpha: EnumProperty(name="Alpha", items=ALPHAS)
    scale: BoolProperty(name="Scale to Fit", description="Otherwise another size is refused")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = sorted(file.name for file in self.files if file.name)
        if not names:
            self.report({"ERROR"}, "Choose the pictures of the sequence")
            return {"CANCELLED"}
        alpha = "opaque" if self.use == "BACKGROUND" else AUTO
        plate = Plate(
            input=INPUT_KEY,
            colorspace=AUTO if self.colorspace == "AUTO" else self.colorspace,
            alpha=alpha if self.alpha == "AUTO" else self.alpha,
            fit="fit" if self.scale else "exact",
        )
        paths = [str(Path(bpy.path.abspath(self.directory)) / name) for name in names]
        spec = plate_spec(context.scene, self.use, plate)
        return change_stack(self, context.scene, spec, inputs={INPUT_KEY: paths})


class _PlateRenderMixin(SceneRenderMixin):
    """Renders the stack's frames at its size, and submits them as a layer."""

    poll_checks: tuple[PollCheck, ...] = CAN_CHANGE_LAYER
    composited: bool
    use: EnumProperty(name="As", items=USES)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.render_and_submit(context.scene)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return self.start_render(context)

    def apply_settings(self, scene: bpy.types.Scene, settings: render_plate.RenderSettings) -> None:
        settings.apply(
            scene,
            stack_list.stack_view(require_stack(scene)),
            self._request_id,
            composited=self.composited,
            transparent=self.use != "BACKGROUND",
        )

    def submit_render(self, scene: bpy.types.Scene) -> set[str]:
        files = render_plate.plate_files(self._request_id, require_stack(scene).frames)
        if not files:
            self.report({"WARNING"}, "The render did not come to its end, so nothing is changed")
            return {"CANCELLED"}
        alpha = "opaque" if self.use == "BACKGROUND" else "premultiplied"
        colorspace, _ = render_plate.plate_colorspace()
        plate = Plate(input=INPUT_KEY, colorspace=colorspace, alpha=alpha)
        spec = plate_spec(scene, self.use, plate)
        inputs = {INPUT_KEY: files}
        return change_stack(self, scene, spec, inputs=inputs, request_id=self._request_id)


def check_camera(context: bpy.types.Context) -> str:
    """Return why the 3D scene cannot be rendered."""
    return "" if context.scene.camera else "The scene has no active camera"


class LAYERT2V_OT_plate_render(_PlateRenderMixin, bpy.types.Operator):
    bl_idname = "layert2v.plate_render"
    bl_label = "Use a Render as a Layer"
    bl_description = "Render the 3D scene at the stack's size and frames and use it as a layer"
    poll_checks = (*CAN_CHANGE_LAYER, check_camera)
    composited = False


class LAYERT2V_OT_plate_compositor(_PlateRenderMixin, bpy.types.Operator):
    bl_idname = "layert2v.plate_compositor"
    bl_label = "Use the Compositor's Output as a Layer"
    bl_description = (
        "Render the compositor's output at the stack's size and frames and use it as a layer"
    )
    composited = True


CLASSES = (LAYERT2V_OT_plate_files, LAYERT2V_OT_plate_render, LAYERT2V_OT_plate_compositor)
