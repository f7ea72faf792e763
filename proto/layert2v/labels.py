"""Labels of fields and buttons, the same in Blender, Nuke, the command line and the docs.

``LABELS`` is keyed by the field's name in ``GenerateSpec`` or ``RerenderSpec`` where it has one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Label(NamedTuple):
    """The text beside a field or on a button, and a tooltip; "" where hosts word their own."""

    text: str
    tooltip: str = ""


LABELS = MappingProxyType(
    {
        "prompt": Label("Prompt", "What should be seen, in one sentence"),
        "background_prompt": Label(
            "Background", "The background alone; empty: taken out of the prompt"
        ),
        "foreground_prompt": Label("Foreground", "What this foreground layer shows"),
        "placement": Label(
            "Place",
            "Where this foreground is to be, as a hint: box or ellipse, then left, top, width and "
            "height in shares of the picture, such as ellipse 0.1 0.3 0.4 0.6; empty: anywhere",
        ),
        "preset": Label(
            "Preset", "Size, length and steps of the model for a look, for work, or at its best"
        ),
        "negative_prompt": Label("Negative Prompt", "What should not be seen"),
        "nearest": Label(
            "Nearest Subject",
            "Where the model knows no subject of the prompt, show the one nearest in meaning",
        ),
        "model": Label("Model", "The models of the server"),
        "colorspace": Label("Color Space", "The linear space the layers are delivered in"),
        "compression": Label(
            "Compression",
            "Of the EXR files: zips scrubs fast in Nuke; dwaa is small but loses precision",
        ),
        "width": Label("Width", "Pixels; 0 for the model's default"),
        "height": Label("Height", "Pixels; 0 for the model's default"),
        "frames": Label("Frames", "How many frames; 0 for the model's default"),
        "start_frame": Label("First Frame", "The number of the first frame"),
        "fps": Label("FPS", "Frames per second"),
        "output_size": Label("Output Size", "The nearest size and length that the model offers"),
        "seed": Label("Seed", "The same seed and prompts give the same stack; empty for a new one"),
        "steps": Label("Steps", "Denoising steps: more are slower and finer"),
        "guidance": Label("Guidance", "How strictly to follow the prompts"),
        "layer_prompt": Label("Prompt", "What the layer shows when it is generated again"),
        "strength": Label(
            "Strength", "How far the new layer may go from the old one; 1 forgets the old one"
        ),
        "frozen": Label("Freeze", "Keep this layer as it is when others are generated again"),
        "version": Label("Version", "The version of the layer that is shown"),
        "footage_range": Label("Only Some Frames", "By the footage's own numbers; otherwise all"),
        "footage_first": Label("First"),
        "footage_last": Label("Last"),
        "footage_handles": Label("Handles", "Frames more at both ends"),
        "footage_split": Label(
            "Split at Cuts", "A stack for each shot; otherwise footage with cuts is refused"
        ),
        "footage_ignore_cuts": Label(
            "Ignore Cuts", "The footage is one shot, such as with flashes or fast pans"
        ),
        "footage_scale": Label("Scale", "Smaller layers, for a look"),
        "footage_matrix": Label("Matrix", "Of movies: how YCbCr becomes color"),
        "footage_color_range": Label("Range", "Of movies: which codes are black and white"),
        "footage_deinterlace": Label(
            "Deinterlace", "Make whole frames of interlaced movies; otherwise fields stay woven"
        ),
        "subject_box": Label("Box", "A rectangle around the subject"),
        "matte_all": Label(
            "On All Frames", "Use the matte as it is on every frame; otherwise as a hint on one"
        ),
        "priority": Label(
            "Priority",
            "In the queue, among your own jobs; urgent goes before everybody's, for supervisors",
        ),
        "account": Label("Yours", "What you have on the server, of what you may have"),
        "folder": Label("Folder"),
        "status": Label("Status"),
        "progress": Label("Progress"),
        "generate": Label("Generate", "Make a layer stack of the prompts"),
        "decompose": Label(
            "Decompose",
            "Make layers of footage: a background without the subjects, and each subject",
        ),
        "rerender": Label("Re-render", "Generate this layer again, around the frozen ones"),
        "match_lighting": Label(
            "Match Lighting",
            "Draw the full video again around the layers as they are, so that light and shadows "
            "fall alike; no layer changes, the result is ref",
        ),
        "cancel": Label("Cancel", "Stop this job"),
        "retry": Label("Retry", "Send the request again"),
    }
)
