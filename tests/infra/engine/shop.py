"""The platform at work: pushes tasks to the host's queue, waits for them, and keeps the books."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from models.generation import SessionStatus
from sandbox.platform.producer import Producer, Submitted
from sandbox.servers.processes import LOOPBACK
from tests.infra.engine.forwarding import Address, Forwarder, listen
from tests.infra.engine.host import Host
from tests.infra.engine.internet import Internet
from tests.infra.engine.namespaces import HOST, INTERNET, Namespace
from tests.infra.engine.waiting import wait_for
from tests.support.ledger_audit import ledger_faults

REDIS_PORT: Final = 6_379
PICTURES: Final = ("person-1.jpg", "t-shirt.png")

LOOK_SECONDS: Final = 0.5

STATUSES: Final = """
    SELECT id, status FROM generation_sessions UNION ALL SELECT id, status FROM store_generation_sessions"""


@dataclass(frozen=True, slots=True)
class Shop:
    """One platform. ``pictures`` are signed addresses of inputs."""

    internet: Internet
    producer: Producer
    pictures: Sequence[str]

    def submit(self, count: int) -> list[Submitted]:
        """Charge and push; every second one is a store's."""
        return [
            (self.producer.submit_b2b if number % 2 else self.producer.submit_b2c)(self.pictures)
            for number in range(count)
        ]

    def statuses(self, tasks: Sequence[Submitted]) -> Counter[str]:
        """How many of these sessions have which status."""
        wanted = {task.session.session_id for task in tasks}
        with psycopg.connect(self.internet.world.postgres.dsn) as database:
            return Counter(status for name, status in database.execute(STATUSES) if name in wanted)

    def wait_under_way(self, tasks: Sequence[Submitted], *, seconds: float) -> None:
        """Until all are being worked on or done."""
        wait_for(
            "every task is taken",
            lambda: self.statuses(tasks)[SessionStatus.QUEUED] == 0,
            seconds=seconds,
            poll_seconds=LOOK_SECONDS,
        )

    def wait_delivered(self, tasks: Sequence[Submitted], *, seconds: float) -> None:
        """Until every session is completed. Raises ``TimeoutError``, which says what they are instead."""
        try:
            wait_for(
                f"{len(tasks)} tasks are delivered",
                lambda: self.statuses(tasks)[SessionStatus.COMPLETED] == len(tasks),
                seconds=seconds,
                poll_seconds=LOOK_SECONDS,
            )
        except TimeoutError as error:
            raise TimeoutError(f"{error}; sessions: {dict(self.statuses(tasks))}") from error

    def wrong_credits(self) -> list[str]:
        """Everything wrong with the books, in words."""
        with psycopg.connect(self.internet.world.postgres.dsn) as database:
            return ledger_faults(database)


@contextmanager
def open_shop(internet: Internet, redis_url: str, samples: Sequence[str | Path] = PICTURES) -> Iterator[Shop]:
    """The platform, pushing to that queue. Its tables keep what was there: the worker's own leases are among them."""
    pictures = [internet.upload(name) for name in samples]
    with Producer(internet.world.postgres.dsn, redis_url) as producer:
        yield Shop(internet, producer, pictures)


@contextmanager
def door_to_redis(host: Host) -> Iterator[str]:
    """A URL by which the platform reaches the host's own queue, which is published to nobody else."""

    def where_it_is_now() -> Address:
        return (host.docker.address(host.container("redis"), host.network), REDIS_PORT)

    door = Forwarder(
        "redis",
        listen((LOOPBACK, 0), inside=Namespace.named(INTERNET)),
        leads_to=Namespace.named(HOST),
        target=where_it_is_now,
    )
    door.start()
    try:
        yield f"redis://default:{host.setting('REDIS_PASSWORD')}@{LOOPBACK}:{door.address[1]}/0"
    finally:
        door.stop()
