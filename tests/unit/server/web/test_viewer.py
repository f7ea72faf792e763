"""Viewers: made one after the other, in turns of the users."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from layert2v_server.service.callers import Caller, current_caller
from layert2v_server.web.viewer import ViewerMaker


def test_a_user_who_asks_for_many_lets_others_have_a_turn(tmp_path: Path) -> None:
    made: list[str] = []

    class Maker(ViewerMaker):
        async def _run(self, stack: Path, out: Path) -> None:
            await asyncio.sleep(0.01)
            made.append(out.name)

    @contextlib.asynccontextmanager
    async def open_stack() -> AsyncIterator[Path]:
        yield tmp_path

    async def scenario() -> None:
        maker = Maker()

        async def ask(user: str, number: int) -> None:
            current_caller.set(Caller(user=user, connection=f"web:{user}"))
            await maker.make(open_stack, tmp_path / f"{user}_{number}")

        tasks = [asyncio.create_task(ask("anna", number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(ask("bert", 0)))
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert made[:2] == ["anna_0", "bert_0"]
    assert len(made) == 5
