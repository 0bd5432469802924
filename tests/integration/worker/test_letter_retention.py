"""Dead letters are forgotten after a month, with what was set aside for them, in small steps."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.queue.connection import connect
from services.queue.task_queue import DEAD_LETTERS_KEY, TaskQueue
from worker.dead_letters import DeadLetter
from worker.recovery.letter_retention import KEPT_FOR, LETTERS_A_LOOK, LOOK_EVERY, LetterRetention

NOW = datetime(2026, 12, 31, 12, tzinfo=UTC)
OLD = NOW - KEPT_FOR - timedelta(seconds=1)
YOUNG = NOW - KEPT_FOR + timedelta(seconds=1)


class Clock:
    """A clock that moves only when told to."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def retention(client: redis.Redis, redis_server: LocalRedis, clock: Clock) -> LetterRetention:
    return LetterRetention(TaskQueue(connect(redis_server.url)), now=clock)


def letter(buried_at: datetime, element: bytes = b"no task") -> bytes:
    return DeadLetter.about(
        element, reason="bad_task", detail="", buried_at=buried_at, session_ids=(), request_id=None
    ).encode()


def bury(client: redis.Redis, *letters: bytes) -> None:
    """As the consumer does it, the oldest first."""
    for each in letters:
        client.lpush(DEAD_LETTERS_KEY, each)


def letters(client: redis.Redis) -> list[bytes]:
    """All that are left, the oldest first."""
    left: list[bytes] = client.lrange(DEAD_LETTERS_KEY, 0, -1)  # type: ignore[assignment] # redis-py types both clients as one
    return left[::-1]


def test_only_those_that_are_too_old_are_forgotten(client: redis.Redis, retention: LetterRetention) -> None:
    bury(client, letter(OLD), letter(OLD, b"another"), letter(YOUNG), letter(NOW))
    retention.round()
    assert letters(client) == [letter(YOUNG), letter(NOW)]


def test_what_was_set_aside_goes_with_its_letter(client: redis.Redis, retention: LetterRetention) -> None:
    old, young = (
        DeadLetter.about_long(
            "0f" * 20, size_bytes=1_000_000, reason="too_large", detail="", buried_at=at, session_ids=()
        )
        for at in (OLD, YOUNG)
    )
    bury(client, old.encode(), young.encode())
    for each in (old, young):
        assert each.element_key is not None
        client.rpush(each.element_key, b"a long element")
    retention.round()
    assert client.keys("wearon:tasks:dead:*") == [str(young.element_key).encode()]


def test_one_that_nobody_can_read_does_not_keep_the_others(client: redis.Redis, retention: LetterRetention) -> None:
    bury(client, letter(OLD), b"no letter", b'{"buried_at": 7}', letter(OLD, b"another"), letter(YOUNG))
    retention.round()
    assert letters(client) == [letter(YOUNG)]


def test_many_are_forgotten_in_several_looks_and_a_look_comes_once_an_hour(
    client: redis.Redis, retention: LetterRetention, clock: Clock
) -> None:
    bury(client, *(letter(OLD, b"%d" % number) for number in range(LETTERS_A_LOOK + 10)))
    retention.round()
    assert len(letters(client)) == 10
    clock.now += LOOK_EVERY - timedelta(seconds=1)
    retention.round()
    assert len(letters(client)) == 10
    clock.now += timedelta(seconds=1)
    retention.round()
    assert letters(client) == []
