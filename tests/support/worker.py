"""A stage for tests of the real worker: ``main.py`` over the embedded parts, watched and hurt from outside.

The fixtures are in ``tests/support/worker_fixtures.py``.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from uuid import UUID

import httpx
import psutil
import psycopg
import redis
from prometheus_client.parser import text_string_to_metric_families

from models.generation import SessionRef, SessionStatus
from sandbox.pauses import Pauses
from sandbox.pictures.image_host import ImageHost
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.platform.database_clock import DatabaseClock
from sandbox.platform.producer import QUEUE_KEY
from sandbox.platform.state import SessionRow
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.worker import LocalWorker
from sandbox.world import World
from tests.support.images import encoded, four_corners
from tests.support.ledger_audit import ledger_faults

IN_FLIGHT_PREFIX: Final = "wearon:tasks:inflight:"
DEAD_LETTERS_KEY: Final = "wearon:tasks:dead"

QUICK_SETTINGS: Final = {
    "IMAGE_URL_TRUSTED_HOSTS": LOOPBACK,
    "WORKER_CONCURRENCY": "8",
    "WORKER_LEASE_SECONDS": "2",
    "RECOVERY_INTERVAL_SECONDS": "0.5",
    "ORPHAN_GRACE_SECONDS": "600",
    "OPENAI_PAUSE_SECONDS": "1",
    "PLATFORM_PAUSE_SECONDS": "1",
    "OPENAI_MAX_RETRIES": "1",
    "OPENAI_REQUESTS_PER_MINUTE": "3000",
}
"""Everything that takes a minute in production takes a second or two here; but a row without a task is left alone for
longer than any test takes from the row to the task."""

WAIT_SECONDS: Final = 60.0
"""For anything that happens within a few seconds on an idle machine."""

HELD: Final = "[[sim:held]]"
"""In a prompt: the provider answers when the test says so."""

REDIS_TIMEOUT_SECONDS: Final = 10.0
"""A test that leaves Redis frozen fails instead of hanging."""

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found], what: str, timeout_seconds: float = WAIT_SECONDS) -> Found:
    """Look again and again until the answer is truthy, and return it. Raises ``TimeoutError`` that says ``what``."""
    pauses = Pauses()
    while True:
        is_the_last = pauses.waited_seconds > timeout_seconds
        if found := look():
            return found
        if is_the_last:
            raise TimeoutError(f"not within {timeout_seconds:g} s: {what}")
        pauses.take()


class Worker(LocalWorker):
    """A worker under test."""

    health_timeout_seconds: ClassVar[float] = WAIT_SECONDS

    def __init__(self, directory: Path, settings: Mapping[str, str], port: int = 0) -> None:
        super().__init__(directory, settings, port)
        self._lines: list[dict[str, Any]] = []
        self._read_bytes = 0

    def launch(self) -> None:
        """Start it and wait for nothing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child = self._launch()

    def lines(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Complete lines of its log that say ``event`` and have these fields."""
        self._read_log()
        wanted = fields if event is None else {"event": event, **fields}
        return [line for line in self._lines if wanted.items() <= line.items()]

    def _read_log(self) -> None:
        """Take in what was appended since the last look: whoever waits for a line looks 50 times a second."""
        if not self.log_path.exists():
            return
        with self.log_path.open("rb") as log:
            log.seek(self._read_bytes)
            complete, newline, _ = log.read().rpartition(b"\n")
        self._read_bytes += len(complete) + len(newline)
        self._lines += [json.loads(line) for line in complete.splitlines()]

    def wait_for_line(self, event: str, *, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait until the log has said so ``count`` times and return that line."""
        return wait_until(lambda: self.lines(event, **fields)[count - 1 :], f"log line {event} {fields}")[0]

    def executor(self) -> UUID:
        """The executor of this moment."""
        return UUID(self.lines("executor_ready")[-1]["executor"])

    def celery_pid(self) -> int:
        """Process id of the Celery child that was started last."""
        return int(self.lines("executor_started")[-1]["pid"])

    def processes(self) -> list[psutil.Process]:
        """The main process and everything it started."""
        main = psutil.Process(self.pid)
        return [main, *main.children(recursive=True)]

    def kill_main(self) -> None:
        """SIGKILL to the main process alone."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait(WAIT_SECONDS)

    def pause_all(self) -> None:
        """Freeze the main process and its child, as when a host is suspended."""
        for process in self.processes():
            process.suspend()

    def resume_all(self) -> None:
        """Undo :meth:`pause_all`."""
        for process in self.processes():
            process.resume()

    def metric(self, name: str, **labels: str) -> float:
        """One sample of GET /metrics; 0 when there is no such series."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False, verify=NO_AUTHORITIES).raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class Stage:
    """The world, the platform's side of it, a picture to send, and the workers of one test module."""

    def __init__(self, world: World, pictures: ImageHost, directory: Path) -> None:
        self.world = world
        self.pictures = pictures
        self.photo = pictures.add("photo.jpg", encoded(four_corners(64, 96), "JPEG"))
        self.platform = world.producer()
        self.redis = redis.Redis.from_url(world.redis.url, socket_timeout=REDIS_TIMEOUT_SECONDS)
        self.directory = directory
        self._workers: dict[str, Worker] = {}

    def worker(self, name: str = "worker", **settings: str) -> Worker:
        """A worker with the quick settings and these; not started yet, gone after the module."""
        worker = Worker(self.directory / name, self.world.settings(**{**QUICK_SETTINGS, **settings}))
        self._workers[name] = worker
        return worker

    def submit(self, prompt: str = "", **options: Any) -> SessionRef:
        """One b2c task with the photo and, in the prompt, markers for the provider."""
        return self.platform.submit_b2c([self.photo], prompt=prompt, **options).session

    def wait_for(self, *sessions: SessionRef, timeout_seconds: float = WAIT_SECONDS) -> list[SessionRow]:
        """Wait until all of them are completed or failed; their rows."""
        return [self.platform.wait_for(session, timeout_seconds=timeout_seconds) for session in sessions]

    def wait_for_status(self, status: str, *sessions: SessionRef) -> None:
        """Wait until all of them have the status."""
        for session in sessions:
            self.platform.wait_for(session, [SessionStatus(status)], timeout_seconds=WAIT_SECONDS)

    def claim(self, session: SessionRef) -> dict[str, Any]:
        """The worker's own record of a session: executor, attempt, rate_limited, outcome."""
        row = self.platform.value(
            "SELECT to_jsonb(c) FROM wearon_worker.claims c WHERE c.channel = %s AND c.session_id = %s",
            session.channel,
            session.session_id,
        )
        return dict(row or {})

    def refund(self, session: SessionRef) -> dict[str, Any]:
        """The record of the session's refund: kind, credits, reason; empty without one."""
        row = self.platform.value(
            "SELECT to_jsonb(r) FROM wearon_worker.refunds r WHERE r.channel = %s AND r.session_id = %s",
            session.channel,
            session.session_id,
        )
        return dict(row or {})

    def in_flight(self, executor: UUID | str) -> list[bytes]:
        """What an executor has taken and not finished, newest first."""
        elements: list[bytes] = self.redis.lrange(f"{IN_FLIGHT_PREFIX}{executor}", 0, -1)  # type: ignore[assignment]
        return elements

    def waiting_sessions(self) -> list[str]:
        """Session ids of the tasks in the platform's queue, the one taken next first."""
        elements: list[bytes] = self.redis.lrange(QUEUE_KEY, 0, -1)  # type: ignore[assignment]
        return [json.loads(element)["session_id"] for element in reversed(elements)]

    def dead_letters(self) -> list[dict[str, Any]]:
        """The dead letters, newest first."""
        letters: list[bytes] = self.redis.lrange(DEAD_LETTERS_KEY, 0, -1)  # type: ignore[assignment]
        return [json.loads(letter) for letter in letters]

    def provider_requests(self, prompt: str = "") -> list[dict[str, Any]]:
        """The requests the provider saw with these words in the prompt, oldest first (of its last 200)."""
        with self.world.simulator.control() as simulator:
            recent = simulator.stats()["recent"]
        return [request for request in recent if prompt in request["fields"].get("prompt", "")]

    def wait_until_held(self, number: int) -> None:
        """Wait until the provider has this many requests whose prompt says :data:`HELD` and answers none of them."""
        with self.world.simulator.control() as simulator:
            wait_until(lambda: simulator.stats()["held"] == number, f"the provider holds {number} answers")

    def release(self, number: int | None = None) -> None:
        """The oldest answers that are held, or all of them, are given now."""
        with self.world.simulator.control() as simulator:
            simulator.release(number)

    @contextmanager
    def database_clock(self) -> Iterator[DatabaseClock]:
        """The time by which the worker's SQL heeds the platform's job."""
        with (
            psycopg.connect(self.world.postgres.dsn, autocommit=True) as connection,
            DatabaseClock(connection) as clock,
        ):
            yield clock

    def wrong_books(self) -> list[str]:
        """Everything that contradicts "deducted = completed + refunded, for every session" (NFR-2.4)."""
        with psycopg.connect(self.world.postgres.dsn, autocommit=True) as connection:
            return ledger_faults(connection)

    def close(self) -> None:
        """End what still runs."""
        for worker in self._workers.values():
            if worker.is_running:
                worker.kill()
        self.platform.close()
        self.redis.close()
