"""What the image editor shows of footage."""

from __future__ import annotations

import bpy


def shown_frame(context: bpy.types.Context) -> int:
    """Return the footage's own number of the frame that is shown."""
    space = context.space_data
    if space.image.source == "SEQUENCE":
        return int(space.image_user.frame_current)
    if space.image.source == "MOVIE":
        return 1000 + int(space.image_user.frame_current)  # a movie begins at 1001
    return max(int(context.scene.frame_current), 0)
