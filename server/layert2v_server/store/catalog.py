"""What a job store tells besides single jobs: files, counts, the models that workers reported."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Engine, select

from layert2v.spec import ModelInfo
from layert2v.stack import FileRecord
from layert2v_server.errors import ArtifactNotFound
from layert2v_server.store.database import read_transaction, write_transaction
from layert2v_server.store.files_table import (
    StoredArtifact,
    find_artifacts,
    has_untrusted_files,
    read_artifacts,
    read_total,
)
from layert2v_server.store.job_counts import (
    JobCount,
    OpenJobs,
    count_jobs,
    count_open,
    count_quarantined,
    running_workers,
)
from layert2v_server.store.models_table import read_models, replace_models
from layert2v_server.store.tables import stored_objects
from layert2v_server.store.usage import EndedJob, Usage, read_ended, read_usage


class Catalog:
    """Files, counts and models in a database. Blocking; the server calls it in threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_artifact(self, job_id: str, position: int) -> FileRecord:
        """Return one file of a job. Raises ``ArtifactNotFound``."""
        with read_transaction(self._engine) as connection:
            found = read_artifacts(connection, job_id, start=position, size=1)
        if position not in found:
            raise ArtifactNotFound(f"{job_id}/{position}")
        return found[position]

    def list_artifacts(self, job_id: str, *, start: int, size: int) -> list[FileRecord]:
        """Return up to ``size`` files of a job from position ``start`` on."""
        with read_transaction(self._engine) as connection:
            return list(read_artifacts(connection, job_id, start=start, size=size).values())

    def find_by_hash(self, owner: str, hashes: Collection[str]) -> list[StoredArtifact]:
        """Return a file of ``owner`` for each of ``hashes`` that a job has.

        Of several jobs that share a file, one that does not take it for untrusted is named, and of
        those the newest.
        """
        with read_transaction(self._engine) as connection:
            return find_artifacts(connection, owner, hashes)

    def has_untrusted(self, job_id: str) -> bool:
        """Tell if the job has files that a caller brought and nobody checked."""
        with read_transaction(self._engine) as connection:
            return has_untrusted_files(connection, job_id)

    def list_stored(self) -> set[str]:
        """Return the ids of the jobs whose results are in a bucket."""
        query = select(stored_objects.c.holder).distinct()
        with read_transaction(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def used_bytes(self) -> int:
        """Return the size of all published files; what several jobs of a user share counts once."""
        with read_transaction(self._engine) as connection:
            return read_total(connection)

    def ended_before(self, than: float) -> list[EndedJob]:
        """Return the jobs that ended before ``than``, in seconds since 1970, oldest first."""
        with read_transaction(self._engine) as connection:
            return read_ended(connection, than)

    def usage(self, owner: str, enough_bytes: int) -> Usage:
        """Return what the jobs of a user take; counted exactly from ``enough_bytes`` on."""
        with read_transaction(self._engine) as connection:
            return read_usage(connection, owner, enough_bytes)

    def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the models that a worker reported last; empty before the first is ready."""
        with read_transaction(self._engine) as connection:
            return read_models(connection)

    def save_models(self, reported: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        """Replace the known models by those that a worker reported."""
        with write_transaction(self._engine) as connection:
            replace_models(connection, reported)
        return reported

    def count(self) -> tuple[list[JobCount], set[str]]:
        """Return how many jobs there are of each kind, and the workers that have one."""
        with read_transaction(self._engine) as connection:
            return count_jobs(connection), running_workers(connection)

    def count_open(self, owner: str) -> OpenJobs:
        """Return how many jobs of a user have not ended."""
        with read_transaction(self._engine) as connection:
            return count_open(connection, owner)

    def count_quarantined(self) -> int:
        """Return the number of jobs in quarantine."""
        with read_transaction(self._engine) as connection:
            return count_quarantined(connection)
