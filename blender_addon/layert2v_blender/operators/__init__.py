"""What the buttons do."""

import bpy

from . import generate, imports, layers, plates, server

CLASSES = (
    *generate.CLASSES,
    *imports.CLASSES,
    *layers.CLASSES,
    *plates.CLASSES,
    *server.CLASSES,
)


def register() -> None:
    for one in CLASSES:
        bpy.utils.register_class(one)


def unregister() -> None:
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
