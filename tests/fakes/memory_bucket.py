"""A bucket in memory: the real library, without a server behind it."""

from __future__ import annotations

from layert2v_server.store.bucket.client import Bucket
from layert2v_server.store.bucket.settings import BucketSettings


class MemoryBucket(Bucket):
    """Objects of one test; ``reads`` and ``writes`` count requests."""

    def __init__(self) -> None:
        from obstore.store import MemoryStore

        self.settings = BucketSettings(bucket="memory", prefix="")
        self.problem, self._checked = "", 0.0
        self._reading = self._writing = MemoryStore()  # type: ignore[assignment]
        self.reads: list[tuple[str, int, int]] = []
        self.writes: list[str] = []

    def read(self, key: str, start: int, end: int) -> object:
        self.reads.append((key, start, end))
        return super().read(key, start, end)

    def put(self, key: str, data: bytes | memoryview) -> None:
        self.writes.append(key)
        super().put(key, data)

    def all_keys(self) -> list[str]:
        return sorted(entry.key for entry in self.list(""))
