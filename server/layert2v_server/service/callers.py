"""Who calls, and how much of something one caller may use at a time."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from dataclasses import dataclass

from layert2v_server.errors import TooManyCalls, TooManyRequests

BURST_S = 10.0  # a user who was silent may make the calls of so many seconds at once
MAX_IDLE_USERS = 10_000


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


class RateLimit:
    """How many calls a second each user may make: a token bucket for each."""

    def __init__(self, per_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._capacity = max(1.0, per_s * BURST_S)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # calls that are left, and since when

    def take(self, user: str) -> None:
        """Count one call. Raises ``TooManyRequests`` where the user has none left."""
        now = self._clock()
        left, since = self._buckets.pop(user, (self._capacity, now))
        left = min(self._capacity, left + (now - since) * self._per_s)
        is_allowed = left >= 1.0
        self._buckets[user] = (left - is_allowed, now)  # the last one called is the last one here
        while len(self._buckets) > MAX_IDLE_USERS:
            self._buckets.pop(next(iter(self._buckets)))
        if not is_allowed:
            raise TooManyRequests((1.0 - left) / self._per_s)
