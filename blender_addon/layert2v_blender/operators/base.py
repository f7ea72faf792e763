"""Shared by operators: why a button is greyed out, error reports, submitting a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from layert2v.errors import ContractError
from layert2v.priorities import describe_refusal
from layert2v.spec import FieldViolation

from .. import model, model_cache
from ..job_request import Request
from ..requests import request_manager
from ..settings import offline_reason

PollCheck = Callable[[bpy.types.Context], str]


class PollReasonMixin:
    """Greys a button while one of ``poll_checks`` gives a reason, and shows that reason.

    A check is only asked if those before it give no reason, so it may rely on them.
    """

    poll_checks: tuple[PollCheck, ...] = ()
    poll_message_set: Any  # of the operator

    @classmethod
    def poll_reason(cls, context: bpy.types.Context) -> str:
        """Return why the button is grey; empty if it is not."""
        return next(filter(None, (check(context) for check in cls.poll_checks)), "")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Return whether the button can be pressed."""
        reason = cls.poll_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


def require_stack(scene: bpy.types.Scene) -> model.LAYERT2V_Stack:
    """Return the active stack. Raises ``LookupError`` if there is none, which checks prevent."""
    stack = model.active_stack(scene)
    if stack is None:
        raise LookupError("there is no active stack")
    return stack


def require_layer(scene: bpy.types.Scene) -> model.LAYERT2V_Layer:
    """Return the active layer. Raises ``LookupError`` if there is none, which checks prevent."""
    layer = model.active_layer(scene)
    if layer is None:
        raise LookupError("there is no active layer")
    return layer


def check_connection(_context: bpy.types.Context) -> str:
    """Return why no server can be reached."""
    return offline_reason()


def check_models(_context: bpy.types.Context) -> str:
    """Return why no model can be asked for a stack."""
    reason = "Connect to the server first: its models are not known yet"
    return "" if model_cache.models() else reason


def check_stack(context: bpy.types.Context) -> str:
    """Return why nothing can be done with the active stack."""
    return "" if model.active_stack(context.scene) else "Generate or import a stack first"


def check_stack_is_free(context: bpy.types.Context) -> str:
    """Return why the active stack cannot be changed now."""
    uid = require_stack(context.scene).uid
    requests = request_manager.requests.values()
    is_changing = any(request.stack == uid and request.is_open for request in requests)
    reason = "The stack is being changed already; wait for it or cancel it"
    return reason if is_changing else ""


def check_layer(context: bpy.types.Context) -> str:
    """Return why nothing can be done with the active layer."""
    return "" if model.active_layer(context.scene) else "Choose a layer"


CAN_GENERATE = (check_connection, check_models)
CAN_CHANGE_STACK = (check_stack, check_connection, check_stack_is_free)
CAN_CHANGE_LAYER = (*CAN_CHANGE_STACK, check_layer)


def error_text(error: ContractError) -> str:
    """Return an error and what to do about it."""
    return " ".join(filter(None, (error.message, error.hint)))


def violations_text(violations: list[FieldViolation]) -> str:
    """Return all that is wrong with a request."""
    return " ".join(violation.message for violation in violations)


def submit(operator: bpy.types.Operator, scene: bpy.types.Scene, request: Request) -> set[str]:
    """Submit a request, report what keeps it from leaving; return the operator's result."""
    account = request_manager.account
    refusal = describe_refusal(scene.layert2v.priority, account.priorities) if account else ""
    if refusal:
        operator.report({"ERROR"}, refusal)
        return {"CANCELLED"}
    try:
        request_manager.submit(request, scene)
    except ContractError as error:
        operator.report({"ERROR"}, error.message)
    except ImportError as error:
        operator.report({"ERROR"}, f"The bundled client cannot be loaded: {error}.")
    else:
        return {"FINISHED"}
    return {"CANCELLED"}
