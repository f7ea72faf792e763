"""The operators behind the buttons, one file for each subject."""

import bpy

from . import decompose, generate, hints, imports, layers, plates, refine, server

register, unregister = bpy.utils.register_classes_factory(
    (
        *decompose.CLASSES,
        *generate.CLASSES,
        *hints.CLASSES,
        *imports.CLASSES,
        *layers.CLASSES,
        *plates.CLASSES,
        *refine.CLASSES,
        *server.CLASSES,
    )
)
