"""The stack's Redis, started as in its container: its settings hold, and its password is seen by nobody.

The server is the Valkey of the tests, or the Redis that WEARON_REDIS_SERVER names.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import psutil
import pytest
import redis

from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import ChildProcess, start_child
from sandbox.servers.redis import server_program
from tests.support.production_bundle import REPOSITORY

START: Final = REPOSITORY / "redis" / "start.sh"
PASSWORD: Final = "Stack-Password_1"
EXIT_CONFIGURATION: Final = 78


def environment(directory: Path, password: str | None) -> dict[str, str]:
    """What the container gives, with places below ``directory`` and a program called redis-server."""
    programs = directory / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    if not (programs / "redis-server").exists():
        (programs / "redis-server").symlink_to(server_program())
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "REDIS_SETTINGS": str(directory / "test.conf"),
        "REDIS_WITH_PASSWORD": str(directory / "run.conf"),
        **({} if password is None else {"REDISCLI_AUTH": password}),
    }


class StackRedis(LocalServer):
    """Redis by the stack's own start script and settings, on a port of its own."""

    name: ClassVar[str] = "redis"

    def _launch(self) -> ChildProcess:
        settings = f"include {REPOSITORY}/redis/redis.conf\nbind {self.host}\nport {self.port}\n"
        (self.directory / "test.conf").write_text(settings)
        return start_child(
            ["/bin/sh", START],
            log_path=self.log_path,
            env=environment(self.directory, PASSWORD),
            cwd=self.directory,
        )

    def client(self, password: str | None = PASSWORD) -> "redis.Redis":
        """Somebody with this password."""
        return redis.Redis(host=self.host, port=self.port, password=password, decode_responses=True)

    def _is_ready(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackRedis]:
    """Running."""
    with StackRedis(tmp_path_factory.mktemp("stack-redis")) as server:
        yield server


@pytest.mark.parametrize("password", [None, "Stack-Password_2"])
def test_nobody_comes_in_without_the_password(server: StackRedis, password: str | None) -> None:
    with server.client(password) as stranger, pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", ""),
        ("maxmemory", str(128 * 1024 * 1024)),
        ("maxmemory-policy", "noeviction"),
        ("protected-mode", "yes"),
    ],
)
def test_the_settings_hold(server: StackRedis, name: str, value: str) -> None:
    with server.client() as client:
        assert client.config_get(name) == {name: value}


def test_no_process_list_and_no_environment_shows_the_password(server: StackRedis) -> None:
    process = psutil.Process(server.pid)
    assert "redis-server" in " ".join(process.cmdline()), "the shell is gone: signals reach Redis itself"
    assert PASSWORD not in " ".join(process.cmdline())
    assert PASSWORD not in " ".join(process.environ().values())


def test_only_redis_can_read_the_file_with_the_password(server: StackRedis) -> None:
    file = server.directory / "run.conf"
    assert f"requirepass {PASSWORD}" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_was_pushed_is_there_after_a_kill(server: StackRedis) -> None:
    with server.client() as client:
        client.lpush("wearon:tasks:generation", "task")
        server.kill()
        server.start()
        assert client.lrange("wearon:tasks:generation", 0, -1) == ["task"]


def test_a_full_redis_refuses_and_throws_nothing_away(server: StackRedis) -> None:
    with server.client() as client:
        client.set("kept", "x")
        client.config_set("maxmemory", "1kb")  # less than an empty server has
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                client.set("one more", "x")
            assert client.get("kept") == "x"
        finally:
            client.config_set("maxmemory", "128mb")


@pytest.mark.parametrize(
    "password",
    [None, "", "change-me", "with space", "quote'", 'quote"', "a$b", "a#b", "ümlaut", "a\nb"],
)
def test_a_password_that_would_need_an_escape_is_refused_without_being_repeated(
    tmp_path: Path, password: str | None
) -> None:
    ended = subprocess.run(
        ["/bin/sh", START],
        env={**environment(tmp_path, password), "LC_ALL": "C"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == EXIT_CONFIGURATION
    assert ended.stderr == "REDIS_PASSWORD in .env must be letters, digits, _ and - only, and not the placeholder.\n"
    assert not (tmp_path / "run.conf").exists()


def test_the_script_can_be_run() -> None:
    assert os.access(START, os.X_OK)
