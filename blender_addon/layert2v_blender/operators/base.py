"""What the operators share: a grey button says why, and a wish goes out in one way."""

import bpy

from layert2v.errors import ContractError
from layert2v.spec import FieldViolation

from .. import model, model_cache, preferences
from ..requests import Request, desk


class Explained:
    """A mixin whose ``why_not`` gives the reason a button is grey; empty where it is not."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = cls.why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


def no_stack(context: bpy.types.Context) -> str:
    """Why nothing can be done with the chosen stack."""
    return "" if model.active_stack(context.scene) else "Generate or import a stack first"


def no_server(context: bpy.types.Context) -> str:
    """Why nothing can be asked of a server."""
    reason = preferences.why_not_connect()
    if not reason and not model_cache.models():
        reason = "Connect to the server first: its models are not known yet"
    return reason


def no_change(context: bpy.types.Context) -> str:
    """Why the chosen stack cannot be changed by the server."""
    reason = no_stack(context) or preferences.why_not_connect()
    stack = model.active_stack(context.scene)
    if not reason and any(one.stack == stack.uid and one.is_open for one in desk.requests.values()):
        reason = "The stack is being changed already; wait for it or cancel it"
    return reason


def sentences(violations: list[FieldViolation]) -> str:
    """All that is wrong with a request, as text."""
    return " ".join(one.message for one in violations)


def send(operator: bpy.types.Operator, scene: bpy.types.Scene, request: Request) -> set[str]:
    """Submit a request; what keeps it from leaving is reported. Returns the operator's result."""
    try:
        desk.submit(request, scene)
    except ContractError as problem:
        operator.report({"ERROR"}, problem.message)
    except ImportError as problem:
        operator.report({"ERROR"}, f"The bundled client cannot be loaded: {problem}.")
    else:
        return {"FINISHED"}
    return {"CANCELLED"}
