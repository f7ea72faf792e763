"""Any order of events: no job is lost or runs twice at once, ends are final, revisions rise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from fakes.postgresql import PostgresServer
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.state import TERMINAL_STATES, JobState
from layert2v_server.errors import InvalidTransition, NotQuarantined
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore

SPEC = GenerateSpec(prompt="a fox", seed=7)
GONE = Failure(reason="WORKER_CRASHED", message="The worker is gone.")
POISON = Failure(reason="QUARANTINED", message="Its workers died.")
FILE = FileRecord(path="stack.json", size_bytes=1, sha256="0" * 64)
MAX_ATTEMPTS = 3
ENDINGS = ("mark_succeeded", "mark_failed", "mark_lost", "requeue", "mark_stopped")


class Queue(RuleBasedStateMachine):
    """Clients, workers and time, in any order, on a real database."""

    jobs = Bundle("jobs")
    runs = Bundle("runs")  # (job, attempt) as a worker holds it, also after it lost it

    def database(self) -> Path | str:
        """Return an empty database."""
        return Path(self.folder.name) / "jobs.sqlite3"

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.now, self.clock = 0.0, 1e9
        self.engine = open_database(self.database())
        self.store = JobStore(
            self.engine,
            max_attempts=MAX_ATTEMPTS,
            clock=lambda: self.clock,
            lease_clock=lambda: self.now,
        )
        self.requests = 0
        self.seen: dict[str, Job] = {}
        self.released: set[str] = set()  # since the last look

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.dispose()
            self.folder.cleanup()

    @rule(target=jobs, priority=st.sampled_from(list(Priority)))
    def create(self, priority: Priority) -> str:
        self.requests += 1
        return self.store.create("anna", str(self.requests), SPEC, SPEC, priority=priority).id

    @rule(number=st.integers(1, 9))
    def create_again(self, number: int) -> None:
        if number <= self.requests:
            known = self.store.create("anna", str(number), SPEC, SPEC)
            assert known.id in self.seen

    @rule(target=runs)
    def claim(self) -> object:
        queued = [job for job in self.seen.values() if job.state is JobState.QUEUED]
        job = self.store.claim("gpu", 10.0)
        assert (job is None) == (not queued)
        return multiple() if job is None else (job.id, job.attempt)

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        assert self.store.cancel(job).state not in (JobState.QUEUED, JobState.RUNNING)

    @rule(seconds=st.sampled_from([1.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.store.requeue_expired(GONE)

    @rule(seconds=st.sampled_from([-1e8, 1e8]))
    def set_clock(self, seconds: float) -> None:
        """Set the clock of the machine, which leases do not follow."""
        self.clock = max(0.0, self.clock + seconds)

    @rule(run=runs)
    def progress(self, run: tuple[str, int]) -> None:
        self._report(run, lambda: self.store.record_progress(*run, Progress(fraction=0.5)))

    @rule(run=runs)
    def renew(self, run: tuple[str, int]) -> None:
        self._report(run, lambda: self.store.renew_lease(*run, 10.0))

    @rule(run=consumes(runs), how=st.sampled_from(ENDINGS))
    def end(self, run: tuple[str, int], how: str) -> None:
        if how == "mark_stopped" and self.store.get(run[0]).state is not JobState.CANCELLING:
            how = "mark_succeeded"  # a worker stops only when it was cancelled
        arguments = {"mark_succeeded": [[FILE]], "mark_failed": [GONE], "mark_lost": [GONE]}
        self._report(run, lambda: getattr(self.store, how)(*run, *arguments.get(how, [])))

    @rule(run=consumes(runs))
    def die(self, run: tuple[str, int]) -> None:
        before = self.store.get(run[0])
        job = self.store.record_death(*run, GONE, POISON)
        assert job.deaths == before.deaths + (not before.is_terminal)
        assert not job.is_quarantined or job.deaths >= self.store.max_worker_deaths

    @rule(job=jobs)
    def release(self, job: str) -> None:
        is_quarantined = self.store.get(job).is_quarantined
        try:
            assert self.store.release(job).state is JobState.QUEUED
            self.released.add(job)
        except NotQuarantined:
            assert not is_quarantined
        else:
            assert is_quarantined

    def _report(self, run: tuple[str, int], change: Callable[[], object]) -> None:
        """Check that a worker's report is accepted exactly while it holds the job."""
        job = self.store.get(run[0])
        holds = job.state in (JobState.RUNNING, JobState.CANCELLING) and job.attempt == run[1]
        try:
            change()
            accepted = True
        except InvalidTransition:
            accepted = False
        assert accepted == holds

    @invariant()
    def the_history_is_whole(self) -> None:
        if not hasattr(self, "store"):
            return
        found = [job for _, job in self.store.list_page("anna", size=1000)]
        now = {job.id: job for job in found}
        assert self.seen.keys() <= now.keys()
        for name, job in now.items():
            before = self.seen.get(name, job)
            assert job.revision >= before.revision
            assert job.revision > before.revision or job.state is before.state
            is_over = before.state in TERMINAL_STATES and name not in self.released
            assert not is_over or job.state is before.state
            assert job.attempt - job.attempt_base <= MAX_ATTEMPTS
            assert not job.is_quarantined or job.failure == POISON
        places = sorted(job.queue_position for job in found if job.queue_position is not None)
        assert places == list(range(sum(job.state is JobState.QUEUED for job in found)))
        self.seen = now
        self.released.clear()


def play(machine: type[Queue], examples: int) -> None:
    """Play so many games of 30 steps."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_any_order_on_sqlite() -> None:
    play(Queue, 15)


def test_any_order_on_postgresql(postgresql: PostgresServer) -> None:
    class OnPostgresql(Queue):
        def database(self) -> str:
            return postgresql.empty_database()

    play(OnPostgresql, 5)
