"""Properties saved in a .blend: prompts, stacks with their layers and states, open requests.

Names of properties are what files store, so they keep their spelling. How requests are doing right
now is not here but in ``requests``, so that an undo cannot turn it back.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from layert2v.decompose import COLOR_RANGES, MATRICES
from layert2v.labels import LABELS
from layert2v.limits import MAX_FRAME, MAX_HANDLES
from layert2v.priorities import DEFAULT_PRIORITY, PRIORITIES
from layert2v.rerender import AUTO
from layert2v.spec import COMPRESSIONS

from . import model_cache
from .versions import BLEND_RELATIVE_PATH

TARGETS = (
    ("COMPOSITOR", "Compositor", "A node group with an output per layer", "NODE_COMPOSITING", 0),
    ("PLANES", "Planes", "A plane per layer before the active camera", "VIEW3D", 1),
    ("STRIPS", "Strips", "A strip per layer in the sequencer", "SEQUENCE", 2),
)
FOOTAGE_KINDS = (
    ("IMAGE", "Image Sequence or Movie", "An image data-block", "IMAGE_DATA", 0),
    ("CLIP", "Movie Clip", "A clip of the clip editor", "FILE_MOVIE", 1),
    ("STRIP", "Strip", "The active strip of the sequencer", "SEQUENCE", 2),
    ("RENDER", "Render", "The 3D scene, rendered for this", "RENDER_ANIMATION", 3),
    ("COMPOSITOR", "Compositor", "The compositor's output", "NODE_COMPOSITING", 4),
)
RENDERED_FOOTAGE = ("RENDER", "COMPOSITOR")  # the kinds that are rendered for the request

# Called with a stack after what is shown of it has changed; ``stack_list`` adds its own.
stack_listeners: list[Callable[["LAYERT2V_Stack"], None]] = []


def field_label(field: str) -> dict[str, str]:
    """Return name and tooltip of a field as every host has them."""
    return {"name": LABELS[field].text, "description": LABELS[field].tooltip}


def reading_items(values: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return the items of a choice of how movies are read; the first follows the file."""
    names = {"bt601": "BT.601", "bt709": "BT.709", "smpte240m": "SMPTE 240M", "bt2020": "BT.2020"}
    own = [(value, names.get(value, value.capitalize()), "") for value in values]
    return [(AUTO, "As the File Says", ""), *own]


def _on_seed_changed(self: Any, _context: bpy.types.Context) -> None:
    digits = "".join(filter(str.isdigit, self.seed))[:19]
    if digits != self.seed:
        self.seed = digits


def _on_own_sampling_changed(self: "LAYERT2V_Scene", _context: bpy.types.Context) -> None:
    model = model_cache.selected_model(self.id_data)
    if self.own_sampling and model is not None:
        self.steps, self.guidance = model.default_steps, model.default_guidance


def _on_layer_changed(self: "LAYERT2V_Layer", context: bpy.types.Context) -> None:
    for stack in self.id_data.layert2v.stacks:
        if stack.uid == self.stack:
            _on_stack_changed(stack, context)


def _on_stack_changed(self: "LAYERT2V_Stack", _context: bpy.types.Context) -> None:
    if self.layers:
        for listener in stack_listeners:
            listener(self)


@lru_cache(maxsize=256)  # Blender needs these texts to stay alive
def _enum_items(versions: tuple[tuple[int, str], ...]) -> list[model_cache.EnumItem]:
    return [(str(number), f"v{number:03d}", prompt, number) for number, prompt in versions]


def _version_items(self: "LAYERT2V_Layer", _context: Any) -> list[model_cache.EnumItem]:
    return _enum_items(tuple((version.number, version.prompt) for version in self.versions))


class LAYERT2V_Foreground(bpy.types.PropertyGroup):
    """The prompt of one foreground layer."""

    prompt: StringProperty(
        name=LABELS["prompt"].text, description=LABELS["foreground_prompt"].tooltip
    )
    place: StringProperty(**field_label("placement"))


class LAYERT2V_Version(bpy.types.PropertyGroup):
    """One version of a layer, whichever state of the stack has it."""

    number: IntProperty()
    pattern: StringProperty()
    prompt: StringProperty()
    seed: StringProperty()


class LAYERT2V_Point(bpy.types.PropertyGroup):
    """A place on a frame, by its own number, that belongs to a subject, or does not."""

    frame: IntProperty()
    place: FloatVectorProperty(size=2)  # pixels, y down
    outside: BoolProperty()


class LAYERT2V_Layer(bpy.types.PropertyGroup):
    """One layer; ``current`` is its version in the newest state, ``shown`` the one in view."""

    stack: StringProperty()  # its uid; empty while the layer is being updated
    role: StringProperty()
    current: IntProperty()
    versions: CollectionProperty(type=LAYERT2V_Version)
    shown: EnumProperty(
        name=LABELS["version"].text,
        description="The version that is shown; nodes and their links stay as they are",
        items=_version_items,
        update=_on_layer_changed,
    )
    visible: BoolProperty(
        name="Visible",
        description="Show the layer in the comp, the planes and the strips",
        default=True,
        update=_on_layer_changed,
    )
    frozen: BoolProperty(
        name=LABELS["frozen"].text,
        description="Keep this layer as it is, even if a layer it depends on is generated again",
    )
    prompt: StringProperty(**field_label("layer_prompt"))
    seed: StringProperty(
        name=LABELS["seed"].text,
        description="The same seed and prompt give the same layer; empty for a new one",
        update=_on_seed_changed,
    )
    strength: FloatProperty(
        **field_label("strength"),
        min=0.05,
        max=1.0,
        default=1.0,
        subtype="FACTOR",
    )
    corrections: CollectionProperty(type=LAYERT2V_Point)  # where the matte of this version is wrong


class LAYERT2V_State(bpy.types.PropertyGroup):
    """One entry of a stack's history."""

    number: IntProperty()
    action: StringProperty()
    created: StringProperty()
    note: StringProperty()
    wish: StringProperty()  # the request as JSON


class LAYERT2V_Stack(bpy.types.PropertyGroup):
    """A stack on disk as this scene shows it; ``layers`` run from top to bottom, as listed."""

    uid: StringProperty()
    folder: StringProperty(subtype="DIR_PATH", options=BLEND_RELATIVE_PATH)
    width: IntProperty()
    height: IntProperty()
    pixel_aspect: FloatProperty(default=1.0)
    fps: FloatProperty()
    frames: IntProperty()
    first_file: IntProperty()
    colorspace: StringProperty()
    nearest_colorspace: BoolProperty(
        name="Nearest Color Space",
        description="Show the stack in the nearest space that Blender's color configuration "
        "offers. Colors are off by what is said here",
        update=_on_stack_changed,
    )
    model: StringProperty()
    understood: StringProperty()
    warning: StringProperty()
    problem: StringProperty()  # why it cannot be shown
    layers: CollectionProperty(type=LAYERT2V_Layer)
    active_layer: IntProperty()
    history: CollectionProperty(type=LAYERT2V_State)
    active_state: IntProperty()
    first_frame: IntProperty(
        name=LABELS["start_frame"].text,
        description="The frame of the scene at which the stack's first picture is shown",
        update=_on_stack_changed,
    )


class LAYERT2V_OpenRequest(bpy.types.PropertyGroup):
    """A request that has not ended, as it is saved to be taken up again after a reopen."""

    request_id: StringProperty()
    job: StringProperty()
    record: StringProperty()  # ``requests.Request`` as JSON


class LAYERT2V_Subject(bpy.types.PropertyGroup):
    """One subject of footage; its name says in words what it is, and may be empty."""

    frame: IntProperty(name="Frame", description="The number of the hints' frame", min=0)
    has_box: BoolProperty(name="Box", description="A rectangle around the subject")
    box: FloatVectorProperty(
        name="X, Y, Width, Height", description="Pixels of the footage, from the top left", size=4
    )
    points: CollectionProperty(type=LAYERT2V_Point)
    mask: PointerProperty(
        name="Mask",
        description="A mask data-block: on its frame it is a hint, on all frames the matte",
        type=bpy.types.Mask,
    )
    mask_all: BoolProperty(
        name="On All Frames",
        description="Use the mask as it is on every frame; otherwise on its frame, as a hint",
    )


class LAYERT2V_Scene(bpy.types.PropertyGroup):
    """The panel's fields, the stacks and the open requests of a scene."""

    prompt: StringProperty(**field_label("prompt"))
    background: StringProperty(**field_label("background_prompt"))
    foregrounds: CollectionProperty(type=LAYERT2V_Foreground)
    place_image: PointerProperty(type=bpy.types.Image)  # that places were drawn over
    negative: StringProperty(**field_label("negative_prompt"))
    nearest: BoolProperty(**field_label("nearest"))
    priority: EnumProperty(
        **field_label("priority"),
        items=[(name, name.capitalize(), "") for name in PRIORITIES],
        default=DEFAULT_PRIORITY,
    )
    compression: EnumProperty(
        **field_label("compression"), items=[(name, name, "") for name in COMPRESSIONS]
    )
    size_from_scene: BoolProperty(
        name="Size from Scene",
        description="The render size of the scene, rounded to the nearest the model offers",
        default=True,
    )
    width: IntProperty(name=LABELS["width"].text, subtype="PIXEL", min=16, max=8192, default=128)
    height: IntProperty(name=LABELS["height"].text, subtype="PIXEL", min=16, max=8192, default=128)
    frames: IntProperty(**field_label("frames"), min=0, max=10000)
    seed: StringProperty(**field_label("seed"), update=_on_seed_changed)
    own_sampling: BoolProperty(
        name="Own Steps and Guidance",
        description="Otherwise those the model was made for",
        update=_on_own_sampling_changed,
    )
    steps: IntProperty(**field_label("steps"), min=1, max=1000, default=20)
    guidance: FloatProperty(**field_label("guidance"), min=0.0, max=100.0, default=4.0)
    model: EnumProperty(**field_label("model"), items=model_cache.model_items)
    colorspace: EnumProperty(**field_label("colorspace"), items=model_cache.colorspace_items)
    folder: StringProperty(
        name=LABELS["folder"].text,
        description="Where new stacks go, each in a folder of its own",
        subtype="DIR_PATH",
        default="//layert2v/",
        options=BLEND_RELATIVE_PATH,
    )
    target: EnumProperty(
        name="Open In", description="Where a finished stack is opened", items=TARGETS
    )
    footage_kind: EnumProperty(
        name="Footage", description="What is taken apart", items=FOOTAGE_KINDS
    )
    footage_image: PointerProperty(
        name="Image", description="An image sequence or a movie", type=bpy.types.Image
    )
    footage_clip: PointerProperty(name="Clip", type=bpy.types.MovieClip)
    footage_range: BoolProperty(
        name="Only Some Frames", description="By the footage's own numbers; otherwise all"
    )
    footage_first: IntProperty(name="First", min=0, max=MAX_FRAME, default=1001)
    footage_last: IntProperty(name="Last", min=0, max=MAX_FRAME, default=1100)
    footage_handles: IntProperty(
        name="Handles", description="Frames more at both ends", min=0, max=MAX_HANDLES
    )
    footage_split: BoolProperty(**field_label("footage_split"))
    footage_ignore_cuts: BoolProperty(**field_label("footage_ignore_cuts"))
    footage_scale: FloatProperty(
        name="Scale",
        description="Smaller layers, for a look",
        min=0.05,
        max=1.0,
        default=1.0,
        subtype="FACTOR",
    )
    footage_matrix: EnumProperty(**field_label("footage_matrix"), items=reading_items(MATRICES))
    footage_color_range: EnumProperty(
        **field_label("footage_color_range"), items=reading_items(COLOR_RANGES)
    )
    footage_deinterlace: BoolProperty(**field_label("footage_deinterlace"))
    refine_mask: PointerProperty(
        name="Mask", description="The matte of the chosen foreground", type=bpy.types.Mask
    )
    subjects: CollectionProperty(type=LAYERT2V_Subject)
    active_subject: IntProperty()
    stacks: CollectionProperty(type=LAYERT2V_Stack)
    active_stack: IntProperty()
    requests: CollectionProperty(type=LAYERT2V_OpenRequest)


_register_classes, _unregister_classes = bpy.utils.register_classes_factory(
    (
        LAYERT2V_Foreground,
        LAYERT2V_Version,
        LAYERT2V_Point,
        LAYERT2V_Layer,
        LAYERT2V_State,
        LAYERT2V_Stack,
        LAYERT2V_OpenRequest,
        LAYERT2V_Subject,
        LAYERT2V_Scene,
    )
)


def active_stack(scene: bpy.types.Scene) -> LAYERT2V_Stack | None:
    """Return the stack that is selected in the panel."""
    panel = scene.layert2v
    return panel.stacks[panel.active_stack] if 0 <= panel.active_stack < len(panel.stacks) else None


def active_subject(scene: bpy.types.Scene) -> LAYERT2V_Subject | None:
    """Return the subject that is selected in the list."""
    panel = scene.layert2v
    found = 0 <= panel.active_subject < len(panel.subjects)
    return panel.subjects[panel.active_subject] if found else None


def active_layer(scene: bpy.types.Scene) -> LAYERT2V_Layer | None:
    """Return the layer that is selected in the list of the active stack."""
    stack = active_stack(scene)
    if stack is None or not 0 <= stack.active_layer < len(stack.layers):
        return None
    return stack.layers[stack.active_layer]


def register() -> None:
    _register_classes()
    bpy.types.Scene.layert2v = PointerProperty(type=LAYERT2V_Scene)


def unregister() -> None:
    del bpy.types.Scene.layert2v
    _unregister_classes()
