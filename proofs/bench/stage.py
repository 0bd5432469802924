"""Where everything is measured: the embedded world, an image host, workers, and the platform that offers tasks."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import psycopg
import redis

from proofs.bench.pictures import Photograph
from sandbox.pictures.image_host import ImageHost
from sandbox.platform.producer import QUEUE_KEY, Producer, Store, Submitted
from sandbox.servers.node_packages import ensure_node_packages
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.worker import LocalWorker
from sandbox.world import World

RICH: Final = 1_000_000
"""Credits: enough for every task of a run from one user and one store."""

SIGNATURE_CHARACTERS: Final = 350
"""A signed Storage URL ends in a token of about this length, which is most of a queue element."""

PUSH_CHUNK: Final = 1_000
POLL_SECONDS: Final = 0.25

COMPLETED_TIMES = (
    "SELECT created_at, completed_at FROM generation_sessions WHERE status = 'completed'"
    " UNION ALL SELECT created_at, completed_at FROM store_generation_sessions WHERE status = 'completed'"
)
COUNT_BY_STATUS = (
    "SELECT status, count(*) FROM (SELECT status FROM generation_sessions"
    " UNION ALL SELECT status FROM store_generation_sessions) AS sessions GROUP BY status"
)
WAITING_SESSIONS = (
    "INSERT INTO generation_sessions (user_id, status, prompt, created_at)"
    " SELECT %s, 'queued', '', now() - interval '5 minutes' + number * interval '1 millisecond'"
    " FROM generate_series(1, %s) AS number RETURNING id"
)


class Unfinished(Exception):
    """Tasks failed, or did not end in time: a figure over the rest would flatter."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Who is charged."""

    user_id: UUID
    store: Store


class Stage:
    """The running world. One measurement after the other; ``reset`` between them."""

    def __init__(self, directory: Path, world: World, images: ImageHost, producer: Producer) -> None:
        self._directory = directory
        self._images = images
        self._workers = 0
        self.world = world
        self.producer = producer

    def reset(self, *, latency: str) -> Customers:
        """Forget everything that was; the provider takes ``latency`` seconds from now on. No worker may run."""
        self.producer.wipe()
        with redis.Redis.from_url(self.world.redis.url) as connection:
            connection.flushdb()
        with self.world.simulator.control() as simulator:
            simulator.reset()
            simulator.set_latency(latency)
        return self._customers()

    def restart_counting(self, *, latency: str) -> Customers:
        """Forget the sessions and the provider's statistics under a running, idle worker, and change the latency."""
        self.producer.execute("TRUNCATE generation_sessions, store_generation_sessions CASCADE")
        with self.world.simulator.control() as simulator:
            simulator.reset_stats()
            simulator.set_latency(latency)
        return self._customers()

    def _customers(self) -> Customers:
        return Customers(self.producer.new_user(balance=RICH), self.producer.new_store(balance=RICH))

    def worker(self, **settings: str) -> LocalWorker:
        """A worker with production settings except ``settings``; not started yet."""
        self._workers += 1
        changed = {"IMAGE_URL_TRUSTED_HOSTS": LOOPBACK, **settings}
        return self.world.worker(self._directory / f"worker-{self._workers}", self.world.settings(**changed))

    def serve(self, photographs: Sequence[Photograph]) -> list[str]:
        """Links to the photographs, as long as signed ones."""
        return [
            f"{self._images.add(photograph.name, photograph.jpeg)}?token={'x' * SIGNATURE_CHARACTERS}"
            for photograph in photographs
        ]

    def offer(self, customers: Customers, urls: Sequence[str], count: int, *, per_minute: float | None = None) -> None:
        """Submit ``count`` tasks of both channels in turn; evenly at ``per_minute``, or all at once."""
        started = time.monotonic()
        for number, is_b2c in zip(range(count), cycle((True, False)), strict=False):
            if per_minute is not None:
                time.sleep(max(0.0, started + number * 60 / per_minute - time.monotonic()))
            self._submit(customers, urls, is_b2c=is_b2c)

    def _submit(self, customers: Customers, urls: Sequence[str], *, is_b2c: bool) -> Submitted:
        if is_b2c:
            return self.producer.submit_b2c(urls, user_id=customers.user_id)
        return self.producer.submit_b2b(urls, store=customers.store)

    def fill_queue(self, customers: Customers, urls: Sequence[str], count: int) -> None:
        """Put ``count`` tasks with their sessions into the queue, old enough for recovery to look at every one."""
        template = json.loads(self.producer.submit_b2c(urls, user_id=customers.user_id, push=False).payload)
        with psycopg.connect(self.world.postgres.dsn) as database:
            sessions = database.execute(WAITING_SESSIONS, [customers.user_id, count]).fetchall()
        with redis.Redis.from_url(self.world.redis.url) as connection:
            for start in range(0, count, PUSH_CHUNK):
                elements = [
                    json.dumps({**template, "session_id": str(session_id), "task_id": str(uuid4())})
                    for (session_id,) in sessions[start : start + PUSH_CHUNK]
                ]
                connection.lpush(QUEUE_KEY, *elements)

    def count_by_status(self) -> dict[str, int]:
        """Sessions of both tables."""
        with psycopg.connect(self.world.postgres.dsn) as database:
            return dict(database.execute(COUNT_BY_STATUS).fetchall())

    def wait_until_completed(self, count: int, timeout_seconds: float) -> None:
        """Wait until ``count`` sessions are completed.

        Raises:
            Unfinished: one failed, or the time ran out.
        """
        deadline = time.monotonic() + timeout_seconds
        while (statuses := self.count_by_status()).get("completed", 0) < count:
            if statuses.get("failed") or time.monotonic() > deadline:
                raise Unfinished(f"of {count} tasks after at most {timeout_seconds:.0f} s: {statuses}")
            time.sleep(POLL_SECONDS)

    def completed_times(self) -> list[tuple[datetime, datetime]]:
        """``created_at`` and ``completed_at`` of every completed session, oldest first."""
        with psycopg.connect(self.world.postgres.dsn) as database:
            return sorted(database.execute(COMPLETED_TIMES).fetchall())


@contextmanager
def open_stage() -> Iterator[Stage]:
    """A fresh world in a temporary directory; everything stops and the directory goes at the end."""
    ensure_node_packages()
    directory = Path(tempfile.mkdtemp(prefix="wearon-bench-"))
    world = World.in_directory(directory, fixed_result=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(world.postgres.wipe)
        stack.enter_context(world.running())
        images = stack.enter_context(ImageHost())
        producer = stack.enter_context(world.producer())
        yield Stage(directory, world, images, producer)
