"""Two queues in one Redis: nothing of the one ever gets into the other."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.queue.task_queue import LongElement, TaskQueue, TransferLimits

LIMITS = TransferLimits(whole_bytes=100, end_bytes=10)
LONG = b"<" + b"-" * 200 + b">"


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[Any]:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def first(client: Any) -> TaskQueue:
    client.lpush("wearon:tasks:generation", b"first")
    return TaskQueue(client)


@pytest.fixture
def second(client: Any) -> TaskQueue:
    client.lpush("wearon:tasks:batch", b"second")
    return TaskQueue(client, "batch")


def waiting(queue: TaskQueue) -> list[Any]:
    return [element for page in queue.waiting(LIMITS) for element in page]


def test_what_an_executor_took_goes_back_to_the_queue_that_it_came_from(first: TaskQueue, second: TaskQueue) -> None:
    executor = uuid4()
    assert (first.take(executor), second.take(executor)) == (b"first", b"second")
    assert second.hand_back(executor) == 1
    assert (waiting(first), waiting(second)) == ([], [b"second"])
    assert first.hand_back(executor) == 1
    assert (waiting(first), waiting(second)) == ([b"first"], [b"second"])


def test_each_queue_counts_its_own_backlog_and_executors(client: Any, first: TaskQueue, second: TaskQueue) -> None:
    client.lpush("wearon:tasks:batch", b"one more")
    executor = uuid4()
    second.register(executor)
    assert (first.look(most_bytes=0).waiting, second.look(most_bytes=0).waiting) == (1, 2)
    assert (first.executors(), second.executors()) == ([], [executor])


def test_a_dead_letter_is_replayed_into_the_queue_that_it_died_in(first: TaskQueue, second: TaskQueue) -> None:
    executor = uuid4()
    taken = second.take(executor)
    assert taken
    second.bury(executor, taken, b"a letter")
    assert (list(first.dead_letters()), list(second.dead_letters())) == ([], [b"a letter"])
    second.replay(b"a letter", taken)
    assert (waiting(first), waiting(second)) == ([b"first"], [b"second"])


def test_an_element_that_is_set_aside_stays_with_its_queue(client: Any, first: TaskQueue, second: TaskQueue) -> None:
    executor = uuid4()
    client.lpush(second.keys.in_flight(executor), LONG)
    [[element]] = second.in_flight(executor, LIMITS)
    assert isinstance(element, LongElement)
    assert not first.set_aside(executor, element, letter_id="3fa9", letter=b"a letter"), "it is not in flight there"
    assert second.set_aside(executor, element, letter_id="3fa9", letter=b"a letter")
    assert client.lrange("wearon:tasks:batch:dead:3fa9", 0, -1) == [LONG]
    assert second.replay_set_aside(b"a letter", second.keys.set_aside("3fa9"))
    assert [type(each) for each in waiting(second)] == [LongElement, bytes]
    assert waiting(first) == [b"first"]
