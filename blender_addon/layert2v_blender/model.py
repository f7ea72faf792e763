"""What a scene remembers: the prompts, its stacks with their layers and states, open requests.

All of it is saved in the .blend. How requests are doing right now is not here but in ``session``,
so that an undo cannot turn it back.
"""

from functools import lru_cache

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import model_cache

TARGETS = (
    ("COMPOSITOR", "Compositor", "A node group with an output per layer", "NODE_COMPOSITING", 0),
    ("PLANES", "Planes", "A plane per layer before the active camera", "VIEW3D", 1),
    ("STRIPS", "Strips", "A strip per layer in the sequencer", "SEQUENCE", 2),
)


def _seed_changed(self, _context):
    cleaned = "".join(filter(str.isdigit, self.seed))[:19]
    if cleaned != self.seed:
        self.seed = cleaned


def _own_sampling_changed(self, _context):
    model = model_cache.chosen(self.id_data)
    if self.own_sampling and model is not None:
        self.steps, self.guidance = model.default_steps, model.default_guidance


def _layer_changed(self, context):
    from . import stack_list  # which needs these classes

    if self.stack:
        stack_list.refresh_by_uid(self.id_data, self.stack)


def _stack_changed(self, context):
    from . import stack_list

    if self.layers:
        stack_list.refresh(self)


@lru_cache(maxsize=256)  # Blender needs these texts to stay alive
def _version_items(known: tuple[tuple[int, str], ...]) -> list[tuple[str, str, str, int]]:
    return [(str(number), f"v{number:03d}", prompt, number) for number, prompt in known]


def _versions(self, _context):
    return _version_items(tuple((one.number, one.prompt) for one in self.versions))


class LAYERT2V_Foreground(bpy.types.PropertyGroup):
    prompt: StringProperty(name="Prompt", description="What this foreground layer shows")


class LAYERT2V_Version(bpy.types.PropertyGroup):
    number: IntProperty()
    pattern: StringProperty()
    prompt: StringProperty()
    seed: StringProperty()


class LAYERT2V_Layer(bpy.types.PropertyGroup):
    """One layer; ``current`` is its version in the newest state, ``shown`` the one in view."""

    stack: StringProperty()  # its uid; empty while the layer is being filled
    role: StringProperty()
    current: IntProperty()
    versions: CollectionProperty(type=LAYERT2V_Version)
    shown: EnumProperty(
        name="Version",
        description="The version that is shown; nodes and their links stay as they are",
        items=_versions,
        update=_layer_changed,
    )
    visible: BoolProperty(
        name="Visible",
        description="Show the layer in the comp, the planes and the strips",
        default=True,
        update=_layer_changed,
    )
    frozen: BoolProperty(
        name="Freeze",
        description="Keep this layer as it is, also when a layer it depends on is drawn again",
    )
    prompt: StringProperty(name="Prompt", description="What the layer shows when it is drawn again")
    seed: StringProperty(
        name="Seed",
        description="The same seed and prompt draw the same layer; empty for a new one",
        update=_seed_changed,
    )
    strength: FloatProperty(
        name="Strength",
        description="How far the new layer may go from the old one; 1 forgets the old one",
        min=0.05,
        max=1.0,
        default=1.0,
        subtype="FACTOR",
    )


class LAYERT2V_State(bpy.types.PropertyGroup):
    number: IntProperty()
    action: StringProperty()
    created: StringProperty()
    note: StringProperty()
    wish: StringProperty()  # the request as JSON


class LAYERT2V_Stack(bpy.types.PropertyGroup):
    """A stack on disk as this scene shows it; ``layers`` run from top to bottom, as listed."""

    uid: StringProperty()
    folder: StringProperty(subtype="DIR_PATH")
    width: IntProperty()
    height: IntProperty()
    pixel_aspect: FloatProperty(default=1.0)
    fps: FloatProperty()
    frames: IntProperty()
    first_file: IntProperty()
    colorspace: StringProperty()
    model: StringProperty()
    understood: StringProperty()
    warning: StringProperty()
    problem: StringProperty()  # why it cannot be shown as it should
    layers: CollectionProperty(type=LAYERT2V_Layer)
    active_layer: IntProperty()
    history: CollectionProperty(type=LAYERT2V_State)
    active_state: IntProperty()
    first_frame: IntProperty(
        name="First Frame",
        description="The frame of the scene at which the stack's first picture is shown",
        update=_stack_changed,
    )


class LAYERT2V_OpenRequest(bpy.types.PropertyGroup):
    """A request that has not ended, as it is saved to be taken up again after a reopen."""

    request_id: StringProperty()
    job: StringProperty()
    record: StringProperty()  # session.Request as JSON


class LAYERT2V_Scene(bpy.types.PropertyGroup):
    prompt: StringProperty(name="Prompt", description="What should be seen, in one sentence")
    background: StringProperty(
        name="Background", description="The background alone; empty: taken out of the prompt"
    )
    foregrounds: CollectionProperty(type=LAYERT2V_Foreground)
    negative: StringProperty(name="Avoid", description="What should not be seen")
    size_from_scene: BoolProperty(
        name="Size from Scene",
        description="The render size of the scene, brought to the nearest the model can draw",
        default=True,
    )
    width: IntProperty(name="Width", subtype="PIXEL", min=16, max=8192, default=128)
    height: IntProperty(name="Height", subtype="PIXEL", min=16, max=8192, default=128)
    frames: IntProperty(
        name="Frames", description="How many frames; 0 for the model's default", min=0, max=10000
    )
    seed: StringProperty(
        name="Seed",
        description="The same seed and prompts draw the same stack; empty for a new one",
        update=_seed_changed,
    )
    own_sampling: BoolProperty(
        name="Own Steps and Guidance",
        description="Otherwise those the model was made for",
        update=_own_sampling_changed,
    )
    steps: IntProperty(
        name="Steps", description="More steps are slower and finer", min=1, max=1000, default=20
    )
    guidance: FloatProperty(
        name="Guidance",
        description="How strictly to follow the prompts",
        min=0.0,
        max=100.0,
        default=4.0,
    )
    model: EnumProperty(
        name="Model", description="The models of the server", items=model_cache.model_items
    )
    colorspace: EnumProperty(
        name="Color Space",
        description="The linear space the layers are delivered in",
        items=model_cache.colorspace_items,
    )
    folder: StringProperty(
        name="Folder",
        description="Where new stacks go, each in a folder of its own",
        subtype="DIR_PATH",
        default="//layert2v/",
    )
    target: EnumProperty(
        name="Open In", description="Where a finished stack is opened", items=TARGETS
    )
    stacks: CollectionProperty(type=LAYERT2V_Stack)
    active_stack: IntProperty()
    requests: CollectionProperty(type=LAYERT2V_OpenRequest)


CLASSES = (
    LAYERT2V_Foreground,
    LAYERT2V_Version,
    LAYERT2V_Layer,
    LAYERT2V_State,
    LAYERT2V_Stack,
    LAYERT2V_OpenRequest,
    LAYERT2V_Scene,
)


def active_stack(scene: bpy.types.Scene) -> LAYERT2V_Stack | None:
    """The stack that is chosen in the panel."""
    state = scene.layert2v
    return state.stacks[state.active_stack] if 0 <= state.active_stack < len(state.stacks) else None


def active_layer(scene: bpy.types.Scene) -> LAYERT2V_Layer | None:
    """The layer that is chosen in the list of the chosen stack."""
    stack = active_stack(scene)
    if stack is None or not 0 <= stack.active_layer < len(stack.layers):
        return None
    return stack.layers[stack.active_layer]


def register() -> None:
    for one in CLASSES:
        bpy.utils.register_class(one)
    bpy.types.Scene.layert2v = PointerProperty(type=LAYERT2V_Scene)


def unregister() -> None:
    del bpy.types.Scene.layert2v
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
