from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.vision_endpoint import Endpoint, serve_endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serve_endpoint() as server:
        yield server
