"""Who calls, and how much of something one caller may use at a time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass

from layert2v_server.errors import TooManyCalls


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A user on one connection."""

    user: str
    connection: str


# None while the server works for itself, which is never limited.
current_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar(
    "caller", default=None
)


class CallerLimit:
    """A number of uses at a time: of each connection, and of each user over all connections.

    So a program that takes all it can get leaves some to the others of its user, and to others.
    """

    def __init__(self, *, per_connection: int, per_user: int) -> None:
        self._per_connection = per_connection
        self._per_user = per_user
        self._shares: dict[tuple[str, str], _Share] = {}

    async def acquire(self) -> Callable[[], None]:
        """Wait until the present caller may use one more; return what gives it back."""
        shares = self._join()
        acquired = 0
        try:
            for share in shares:
                await share.semaphore.acquire()
                acquired += 1
        except BaseException:
            self._leave(shares, acquired)
            raise
        return lambda: self._leave(shares, len(shares))

    async def acquire_now(self) -> Callable[[], None]:
        """Like ``acquire``, but raise ``TooManyCalls`` instead of waiting."""
        shares = self._join()
        if any(share.semaphore.locked() for share in shares):
            self._leave(shares, 0)
            raise TooManyCalls
        self._leave(shares, 0)
        return await self.acquire()  # does not wait: a slot is free, and nothing ran in between

    def _join(self) -> list[_Share]:
        caller = current_caller.get()
        if caller is None:
            return []
        keys = {
            ("connection", caller.connection): self._per_connection,
            ("user", caller.user): self._per_user,
        }
        shares = [self._shares.setdefault(key, _Share(key, n)) for key, n in keys.items()]
        for share in shares:
            share.users += 1
        return shares

    def _leave(self, shares: list[_Share], acquired: int) -> None:
        for share in shares[:acquired]:
            share.semaphore.release()
        for share in shares:
            share.users -= 1
            if not share.users:
                self._shares.pop(share.key, None)


class _Share:
    """The slots of one connection or user, and how many calls hold or want one."""

    def __init__(self, key: tuple[str, str], slots: int) -> None:
        self.key = key
        self.semaphore = asyncio.Semaphore(slots)
        self.users = 0
