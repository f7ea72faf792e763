"""Server errors as gRPC errors."""

from __future__ import annotations

from layert2v_server import errors
from layert2v_server.api.errors import CODES
from layert2v_server.errors import ServerError
from layert2v_server.top import TopFailed
from layert2v_server.web.viewer import ViewerFailed


def test_every_error_of_a_call_has_a_status_code() -> None:
    never_in_a_call = {errors.WorkerLost, errors.ConfigError, errors.ImageRefused, TopFailed}
    never_in_a_call |= {errors.NotQuarantined, ViewerFailed}  # of commands and of the page
    assert set(ServerError.__subclasses__()) == set(CODES) | never_in_a_call
