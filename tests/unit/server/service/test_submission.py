"""Submission: defaults, checks, and an engine that is not ready."""

from __future__ import annotations

import pytest

from fakes.fake_engine import MODEL
from fakes.inline_server import FlakyExecutor, InlineServer, run_scenario
from layert2v.spec import GenerateSpec
from layert2v_server.errors import (
    EngineNotReady,
    SpecRejected,
)


def test_an_engine_that_is_ready_late(server: InlineServer, executor: FlakyExecutor) -> None:
    executor.refusals = 1

    async def scenario() -> None:
        request = GenerateSpec(prompt="a fox")
        with pytest.raises(EngineNotReady):
            await server.submission.submit("anna", "r1", request)
        await server.wait(server.enqueue())
        job = await server.submission.submit("anna", "r2", request)
        assert (job.spec.seed, job.spec.steps) == (42, MODEL.default_steps)
        assert (await server.submission.submit("anna", "r2", request)).id == job.id

    run_scenario(server, scenario)


def test_requests_are_checked_against_their_model(server: InlineServer) -> None:
    async def scenario() -> None:
        await server.wait(server.enqueue())
        for wrong in (GenerateSpec(prompt=""), GenerateSpec(prompt="a", model="wan")):
            with pytest.raises(SpecRejected) as refusal:
                await server.submission.submit("anna", "r9", wrong)
            assert refusal.value.violations
        assert len(server.store.list_ids()) == 1

    run_scenario(server, scenario)
