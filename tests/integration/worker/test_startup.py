"""A worker that cannot start says why in one message, names what to do, and ends with a status that tells the kind.

What is only away is waited for (``tests/faults/test_start_waits.py``).

All cases are started together (``endings``); each test looks at how its own ended.
"""

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import pytest

from main import EXIT_MISCONFIGURED, EXIT_UNAVAILABLE
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from sandbox.servers.worker import REPOSITORY
from tests.support.platform_faults import bucket_renamed
from tests.support.worker import WAIT_SECONDS, Stage
from worker.supervision.supervisor import EXIT_PART_DIED

pytest_plugins = ["tests.support.worker_fixtures"]

PASSWORD: Final = "the-password-in-the-url"
KEY: Final = "sb_secret_of-another-project"
SCHEMA_VERSION: Final = "public.wearon_worker_schema_version()"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a worker wrote before it ended, and its exit status."""

    status: int
    output: str


class OldRedis(socketserver.ThreadingTCPServer):
    """Speaks just enough of the protocol (RESP2) to say that it is a Redis of 2019."""

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        """Answers INFO, and OK to everything else."""

        INFO: ClassVar = b"# Server\r\nredis_version:5.0.7\r\n"

        def handle(self) -> None:
            while head := self.rfile.readline():
                arguments = []
                for _ in range(int(head[1:])):
                    size_bytes = int(self.rfile.readline()[1:])
                    arguments.append(self.rfile.read(size_bytes + len("\r\n")).rstrip())
                is_info = arguments[0].upper() == b"INFO"
                self.wfile.write(b"$%d\r\n%s\r\n" % (len(self.INFO), self.INFO) if is_info else b"+OK\r\n")

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), self.Handler)


@pytest.fixture(scope="module")
def old_redis() -> Iterator[str]:
    """URL of a Redis that does not know BLMOVE."""
    with OldRedis() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"redis://{LOOPBACK}:{server.server_address[1]}/0"
        server.shutdown()


@pytest.fixture(scope="module")
def locked_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis with another password than the one we know."""
    with LocalRedis(tmp_path_factory.mktemp("locked"), password="another password") as server:
        yield server


@pytest.fixture(scope="module")
def cases(stage: Stage, old_redis: str, locked_redis: LocalRedis) -> dict[str, dict[str, str]]:
    """Settings by the name of what is wrong with them."""
    good = stage.world.settings()
    wrong_password = f"redis://:{PASSWORD}@{LOOPBACK}:{locked_redis.port}/0"
    return {
        "nothing is set": {},
        "much is malformed": {
            **good,
            "REDIS_URL": f"http://:{PASSWORD}@{LOOPBACK}",
            "OPENAI_API_KEY": "changeme",
            "WORKER_CONCURRENCY": "many",
            "PORT": "99999",
        },
        "certificates not verified": {**good, "CELERY_BROKER_URL": "rediss://broker:6379/0?ssl_cert_reqs=none"},
        "an unknown model": {**good, "OPENAI_IMAGE_MODELS": "gpt-image-99"},
        "a malformed trusted host": {**good, "IMAGE_URL_TRUSTED_HOSTS": "http://example.com/"},
        "a wrong Redis password": {**good, "REDIS_URL": wrong_password},
        "an old Redis": {**good, "REDIS_URL": old_redis},
        "a wrong key": {**good, "SUPABASE_SERVICE_ROLE_KEY": KEY},
        "a key of a browser": {**good, "SUPABASE_SERVICE_ROLE_KEY": stage.world.supabase.anon_key},
    }


@pytest.fixture(scope="module")
def endings(
    stage: Stage, cases: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Ending]:
    """How every case ended, where no .env of a developer is in reach."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked_starts"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path_factory.mktemp("without-dotenv"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        endings = start_all(starter, cases)
        stage.platform.execute(f"ALTER FUNCTION {SCHEMA_VERSION} RENAME TO hidden_from_the_worker")
        try:
            endings |= start_all(starter, {"no migration": stage.world.settings()})
            stage.platform.execute(
                f"CREATE FUNCTION {SCHEMA_VERSION} RETURNS integer LANGUAGE sql SET search_path = '' AS 'SELECT 1'"
            )
            endings |= start_all(starter, {"an older schema": stage.world.settings()})
            stage.platform.execute(f"DROP FUNCTION {SCHEMA_VERSION}")
        finally:
            stage.platform.execute(
                "ALTER FUNCTION public.hidden_from_the_worker() RENAME TO wearon_worker_schema_version"
            )
            with bucket_renamed(stage.world.postgres.dsn):
                endings |= start_all(starter, {"no bucket": stage.world.settings()})
            starter.kill()
    return endings


def start_all(starter: "subprocess.Popen[str]", cases: dict[str, dict[str, str]]) -> dict[str, Ending]:
    """Start the worker with each of the settings, all at once, and wait for their ends."""
    assert starter.stdin is not None
    assert starter.stdout is not None
    starter.stdin.write(f"{json.dumps(cases)}\n")
    starter.stdin.flush()
    return {name: Ending(*ending) for name, ending in json.loads(starter.stdout.readline()).items()}


REQUIRED: Final = ("REDIS_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "OPENAI_API_KEY")

EXPECTED: Final[dict[str, tuple[int, list[str]]]] = {
    "nothing is set": (
        EXIT_MISCONFIGURED,
        [*(f"  {name}: is missing" for name in REQUIRED), ".env.example explains each one"],
    ),
    "much is malformed": (
        EXIT_MISCONFIGURED,
        ["  REDIS_URL: must look like", "  OPENAI_API_KEY: is empty or still", "  WORKER_CONCURRENCY: ", "  PORT: "],
    ),
    "certificates not verified": (
        EXIT_MISCONFIGURED,
        ["  CELERY_BROKER_URL: takes no options", "certificates are always verified"],
    ),
    "an unknown model": (EXIT_MISCONFIGURED, ["  OPENAI_IMAGE_MODELS: unknown image model gpt-image-99; known are"]),
    "a malformed trusted host": (EXIT_MISCONFIGURED, ["IMAGE_URL_TRUSTED_HOSTS: ", "It takes host or host:port"]),
    "a wrong Redis password": (EXIT_UNAVAILABLE, ["REDIS_URL: Redis at 127.0.0.1:", "refuses the password", "invalid"]),
    "an old Redis": (EXIT_UNAVAILABLE, ["REDIS_URL: Redis at 127.0.0.1:", "is 5.0.7", "needs 6.2 or newer"]),
    "a wrong key": (EXIT_UNAVAILABLE, ["SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key"]),
    "a key of a browser": (EXIT_UNAVAILABLE, ["SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key"]),
    "no bucket": (EXIT_UNAVAILABLE, ["Storage refuses pictures", "HTTP 404, Bucket not found. It must exist"]),
    "no migration": (EXIT_UNAVAILABLE, ["does not have the worker's migrations: apply supabase/migrations/"]),
    "an older schema": (EXIT_UNAVAILABLE, ["needs version 2 of", "has version 1 of", "apply supabase/migrations/"]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_worker_that_cannot_start_names_the_fault_and_what_to_do(endings: dict[str, Ending], name: str) -> None:
    status, words = EXPECTED[name]
    ending = endings[name]
    assert ending.status == status
    assert ending.output.startswith("wearon-worker cannot start.\n")
    assert [word for word in words if word not in ending.output] == []


def test_the_message_has_one_line_for_each_fault_and_nothing_else(endings: dict[str, Ending]) -> None:
    lines = {name: len(ending.output.splitlines()) for name, ending in endings.items()}
    several = {
        "nothing is set": 3 + 4,
        "much is malformed": 3 + 4,
        "certificates not verified": 3 + 1,
        "an unknown model": 3 + 1,
    }
    assert lines == {name: several.get(name, 2) for name in EXPECTED}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_message_shows_neither_a_stack_nor_a_secret(endings: dict[str, Ending], name: str) -> None:
    for unwanted in ("Traceback", PASSWORD, KEY):
        assert unwanted not in endings[name].output


def test_a_port_that_is_taken_ends_the_worker_with_an_error_status_and_json_lines(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        worker = stage.worker()
        worker.port = taken.getsockname()[1]
        worker.launch()
        assert worker.wait(WAIT_SECONDS) == EXIT_PART_DIED
    assert worker.lines("part_died", part="http", level="critical")
    assert [line for line in worker.lines() if "already in use" in line["event"]]
    assert worker.lines("port_not_taken", port=worker.port, level="error")
    assert not worker.lines("executor_started"), "it takes no task"
