"""A run that was given back is looked at at once, although the consumer waits in a pop that blocks for 20 s."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import cast
from uuid import UUID, uuid4

import pytest
import redis
import structlog

from sandbox.servers.redis import LocalRedis
from services.queue.connection import BLOCKING_POP_SECONDS, BLOCKING_SOCKET_TIMEOUT_SECONDS, connect
from services.queue.task_queue import QUEUE_KEY, TaskQueue
from tests.support.payloads import b2c, encode
from tests.support.worker import wait_until
from worker.health import HealthBoard
from worker.intake.consumer import Consumer
from worker.intake.dispatches import DispatchLedger
from worker.intake.publishing import Publisher
from worker.link import RunReturned, RunStarted
from worker.settlement.settle import Settlement

SOON_SECONDS = BLOCKING_POP_SECONDS / 4
PAUSE_MILLISECONDS = 1_000
"""So long Redis lets every command wait."""
UNDER_WAY_SECONDS = 0.5
"""A command that follows the pop has begun by then, and waits for Redis."""


class Published(list[tuple[str, bytes]]):
    """In place of Celery: what it was given."""

    def publish(self, dispatch_id: str, element: bytes) -> None:
        self.append((dispatch_id, element))


class LateQueue(TaskQueue):
    """Its first interruption comes late: a task has ended the pop meanwhile, and Redis is slow with what follows."""

    def __init__(self, client: redis.Redis, other: redis.Redis) -> None:
        super().__init__(client)
        self.client, self.other, self.taken, self.was_late = client, other, threading.Event(), False

    def take(self, executor: UUID, *, timeout_seconds: float = BLOCKING_POP_SECONDS) -> bytes | None:
        element = super().take(executor, timeout_seconds=timeout_seconds)
        if not self.taken.is_set():
            self.other.client_pause(PAUSE_MILLISECONDS)
            self.taken.set()
        return element

    def interrupt(self) -> None:
        if not self.was_late:
            self.was_late = True
            self.other.lpush(QUEUE_KEY, encode(b2c(session_id=str(uuid4()))))
            assert self.taken.wait(SOON_SECONDS)
            in_use = self.client.connection_pool._in_use_connections
            with suppress(TimeoutError):
                wait_until(lambda: in_use, "the command after the pop is under way", UNDER_WAY_SECONDS)
        super().interrupt()


class Running:
    """A consumer in its thread, with nothing behind it."""

    def __init__(self, queue: TaskQueue) -> None:
        self.published, self.dispatcher, self.executor = Published(), DispatchLedger(capacity=1_000), uuid4()
        self.consumer = Consumer(
            executor=self.executor,
            queue=queue,
            publisher=cast(Publisher, self.published),
            dispatcher=self.dispatcher,
            settlement=cast(Settlement, None),
            record=lambda _: None,
            board=HealthBoard(),
        )
        self.thread = threading.Thread(target=self.consumer.run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.consumer.stop()
        while self.thread.is_alive():
            self.consumer._queue.interrupt()
            self.thread.join(0.1)
        self.consumer.close()


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def running(client: redis.Redis, redis_server: LocalRedis) -> Iterator[Running]:
    running = Running(queue_at(redis_server.url))
    yield running
    running.stop()


def queue_at(url: str) -> TaskQueue:
    return TaskQueue(connect(url, timeout_seconds=BLOCKING_SOCKET_TIMEOUT_SECONDS))


def blocked_clients(client: redis.Redis) -> int:
    clients: list[dict[str, str]] = client.client_list()  # type: ignore[assignment] # redis-py types both of its clients as one
    return sum(each["cmd"] == "blmove" and "b" in each["flags"] for each in clients)


def started_when_woken(running: Running, number: int) -> bool:
    """Whether so many starts are made by now; if not, the consumer was woken, and they may be soon."""
    running.consumer.wake()
    return len(running.published) >= number


def test_on_an_idle_queue_its_second_start_comes_at_once(client: redis.Redis, running: Running) -> None:
    client.lpush(QUEUE_KEY, encode(b2c()))
    wait_until(lambda: running.published, "the first start")
    [(first, element)] = running.published
    wait_until(lambda: blocked_clients(client), "the consumer waits for another task")
    running.dispatcher.receive(RunStarted(first))
    with structlog.testing.capture_logs() as lines:
        running.dispatcher.receive(RunReturned(first))
        wait_until(lambda: started_when_woken(running, 2), "the second start", SOON_SECONDS)
    assert running.published[1][1] == element
    assert [line["event"] for line in lines] == ["task_taken"]


def test_no_task_is_lost_or_started_twice_when_the_pop_is_interrupted_in_the_instant_it_moves_one(
    client: redis.Redis, running: Running
) -> None:
    elements = [encode(b2c(session_id=str(uuid4()))) for _ in range(200)]
    for element in elements:
        client.lpush(QUEUE_KEY, element)
        running.dispatcher.receive(RunReturned("of whatever run"))
        running.consumer.wake()
    wait_until(lambda: started_when_woken(running, len(elements)), "everything is started")
    assert sorted(element for _, element in running.published) == sorted(elements)


def test_an_interruption_that_comes_late_is_not_taken_for_an_outage(
    client: redis.Redis, redis_server: LocalRedis
) -> None:
    queue = LateQueue(connect(redis_server.url, timeout_seconds=BLOCKING_SOCKET_TIMEOUT_SECONDS), client)
    running = Running(queue)
    try:
        wait_until(lambda: blocked_clients(client), "the consumer waits for a task")
        with structlog.testing.capture_logs() as lines:
            running.dispatcher.receive(RunReturned("of whatever run"))
            running.consumer.wake()
            wait_until(lambda: running.published, "the task that ended the pop", SOON_SECONDS)
            wait_until(lambda: blocked_clients(client), "the consumer waits again", SOON_SECONDS)
        assert queue.was_late
        assert {"consumer_error", "part_down"}.isdisjoint(line["event"] for line in lines)
    finally:
        running.stop()
