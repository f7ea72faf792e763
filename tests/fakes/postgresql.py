"""A real PostgreSQL of the tests' own: on a socket in a temporary folder, gone when they end."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

with contextlib.suppress(ModuleNotFoundError):  # `absence` says so
    import psycopg

PACKAGE = "postgresql"  # of Debian; versions 13 and newer serve
USER = "layert2v"
# Not subprocess's ``user``: Python forks for it, which can hang beside the threads of gRPC.
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
# Nothing has to survive a power cut here, but what was committed the end of the database's process.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "100",
}


def find_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs; None where there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    found = [str(path) for path in versions] or [shutil.which("initdb") or ""]
    return Path(found[-1]).parent if found[-1] else None


def _version(initdb: Path) -> int:
    return int(initdb.parts[-3])


class PostgresServer:
    """A running server. ``stop`` and ``start`` restart it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="l2v_pg_"))
        self._names = (f"test_{number}" for number in itertools.count())
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # which initdb refuses
            self._as_user = AS_POSTGRES
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "--no-sync", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C")
        self.start()

    @property
    def process_id(self) -> int:
        """The process that all others are children of."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = " ".join(f"-c {name}={value!r}" for name, value in SETTINGS.items())
        options += f" -k {self.folder}"
        self._run("pg_ctl", "start", "-w", "-s", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, how: str = "immediate") -> None:
        """Stop it, as a crash does."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", how)

    def close(self) -> None:
        """Stop it and delete its folder."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, *, user: str = USER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def create_database(self) -> str:
        """Create an empty database, and return its URL."""
        name = next(self._names)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)

    def empty_database(self) -> str:
        """Return the URL of the same database each time, with nothing in it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url("postgres")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(
            self._as_user + command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the length of a block."""
    programs = find_programs()
    assert programs is not None
    server = PostgresServer(programs)
    try:
        yield server
    finally:
        server.close()


@functools.cache
def absence() -> str:
    """Return why no PostgreSQL can be started here; empty where one can."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed; make setup installs it"
    if find_programs() is None:
        return f"PostgreSQL is not installed; on Debian: apt-get install {PACKAGE}"
    return ""
