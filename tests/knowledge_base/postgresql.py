"""A real PostgreSQL server for the tests: made in a temporary folder, ended with the tests.

Other tests may use it: `from tests.knowledge_base.postgresql import Server`.
"""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

from knowledge_base import upgrade

WAIVER = "LONTRA_TEST_POSTGRESQL"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
SUPERUSER = "lontra"
TEMPLATE = "lontra_template"
# The data is thrown away: nothing waits for a disk.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "timezone": "Asia/Kathmandu",  # +05:45: a time read as local would be seen
}


def waived() -> bool:
    """Whether the tests on PostgreSQL were called off by hand."""
    return os.environ.get(WAIVER, "").lower() == "off"


def binaries() -> Path:
    """The folder of `initdb` and `postgres`: Debian's newest, else the one on PATH.

    Raises:
        FileNotFoundError: there is none; says how to go on.
    """
    debian = [
        folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdecimal() and (folder / "initdb").exists()
    ]
    if debian:
        return max(debian, key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    if on_path is None:
        raise FileNotFoundError(
            "no PostgreSQL server is installed: run tests/system-packages.sh as root, "
            f"or call the tests on PostgreSQL off with {WAIVER}=off"
        )
    return Path(on_path).resolve().parent


class Server:
    """A server on a socket in its own folder; every database is a copy of a migrated template.

    PostgreSQL refuses to run as root; it then runs as the user `postgres`. It ends with this
    process: by `stop`, at exit, or, where `setpriv` can arrange it, when this process is killed.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="lontra-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)
        programs = binaries()
        data = str(self._folder / "data")
        owner = _owner()
        if owner is not None:
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [*_as(owner), programs / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust",
             "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, cwd=self._folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_as(owner), programs / "postgres", "-D", data, "-k", self._folder, *settings],
                cwd=self._folder, stdout=log, stderr=log,
            )  # fmt: skip
        self._wait_until_up(self._process)
        self._do("CREATE DATABASE {}", TEMPLATE)
        upgrade(self.url(TEMPLATE))

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one of this server's databases."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={self._folder}"

    def empty_database(self) -> str:
        """The URL of a new database without tables."""
        return self._create("template1")

    def database(self) -> str:
        """The URL of a new, migrated database."""
        return self._create(TEMPLATE)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._do("DROP DATABASE {} WITH (FORCE)", _name(url))

    def renew(self, url: str) -> None:
        """Make a database new and migrated again, under its old URL."""
        self.drop(url)
        self._do("CREATE DATABASE {} TEMPLATE {}", _name(url), TEMPLATE)

    def stop(self) -> None:
        """End the server at once and remove its folder. Does nothing the second time."""
        atexit.unregister(self.stop)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # immediate shutdown
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self._do("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def _do(self, statement: str, *names: str) -> None:
        with self._connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self._folder), user=SUPERUSER, dbname="postgres", autocommit=True
        )

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"the PostgreSQL server did not come up:\n{said}") from None
            time.sleep(0.02)


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _owner() -> pwd.struct_passwd | None:
    """Who the server has to run as; None when this user will do."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _as(owner: pwd.struct_passwd | None) -> list[str]:
    """The words before a command that make it run as `owner` and die with this process."""
    if shutil.which("setpriv"):
        user = (
            []
            if owner is None
            else [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        )
        return ["setpriv", *user, "--pdeathsig=QUIT"]
    return [] if owner is None else ["runuser", "-u", owner.pw_name, "--"]
