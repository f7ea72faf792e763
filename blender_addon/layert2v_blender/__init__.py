"""LayerT2V in Blender: prompts become layers in the compositor, the 3D scene or the sequencer.

``ui`` and ``operators`` stand over ``requests`` (sessions with servers) and ``stack_list``
(stacks), these over ``model`` (what a scene saves) and ``views``, which know only a ``StackView``.
At the bottom are ``settings`` and ``stack_view``. Only ``requests`` and what it is given by the
client speak to a server, and grpc is imported on first use.
"""

from . import model, operators, preview_icons, requests, stack_list
from .ui import footage_panel, panels, preferences

_MODULES = (
    preferences,
    model,
    preview_icons,
    stack_list,
    operators,
    panels,
    footage_panel,
    requests,
)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
