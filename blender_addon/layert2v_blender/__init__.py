"""LayerT2V in Blender: prompts become layers in the compositor, the 3D scene or the sequencer.

Layers of the house: ``panels`` and ``operators`` over ``session`` (requests) and ``library``
(stacks), these over ``model`` (what a scene remembers), and ``compositor``, ``planes`` and
``strips``, which know only a ``Shown`` stack. Only ``session`` and what it is given by the client
speak to a server, and grpc is imported on first use.
"""

from . import model, operators, preferences, preview_icons, requests
from .ui import panels

_MODULES = (preferences, model, preview_icons, operators, panels, requests)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
