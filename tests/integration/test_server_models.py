"""A data folder that an earlier server used with other checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from fakes.fake_engine import MODEL
from fakes.live_server import error_detail, live_server
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore

NARROW = replace(MODEL, width_range=(48, 48), default_width=48, height_range=(32, 32))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data folder whose job store knows a model that is there no more."""
    folder = tmp_path / "data"
    folder.mkdir()
    engine = open_database(folder / "jobs.sqlite3")
    JobStore(engine).save_models([NARROW])
    engine.dispose()
    return folder


def test_defaults_come_from_the_present_models(data: Path) -> None:
    with live_server(data) as server:
        job = server.submit(height=64)
        assert (job.spec.width, job.spec.height) == (MODEL.default_width, 64)


def test_models_of_an_earlier_server_do_not_hide_a_failed_start(
    data: Path,
) -> None:
    with live_server(data, engine="fakes.no_such_module:Engine") as server:
        with pytest.raises(grpc.RpcError) as caught:
            server.submit()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "not installed beside this server" in error_detail(caught.value).message
