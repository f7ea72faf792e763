"""The operators behind the buttons, one file for each subject."""

import bpy

from . import generate, imports, layers, plates, server

register, unregister = bpy.utils.register_classes_factory(
    (
        *generate.CLASSES,
        *imports.CLASSES,
        *layers.CLASSES,
        *plates.CLASSES,
        *server.CLASSES,
    )
)
