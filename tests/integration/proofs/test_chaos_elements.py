"""How ``make chaos`` finds out whether a bad element disappeared, on what the worker really leaves in Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pytest
import redis

from proofs.chaos.collect import lost_elements
from proofs.chaos.platform_side import GARBAGE, HUGE_CHARACTERS
from sandbox.servers.redis import LocalRedis
from services.queue.connection import connect
from services.queue.task_queue import LongElement, TaskQueue, in_flight_key
from worker.dead_letters import DeadLetter
from worker.queue_elements import TRANSFER_LIMITS

BURIED_AT: Final = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


def bury(client: redis.Redis, elements: tuple[str, ...]) -> list[DeadLetter]:
    """Do with bad elements what the consumer does; the letters."""
    executor, queue, letters = uuid4(), TaskQueue(client), []
    client.lpush(in_flight_key(executor), *elements)
    about: dict[str, Any] = {"reason": "not_json", "detail": "", "buried_at": BURIED_AT, "session_ids": ()}
    for page in queue.in_flight(executor, TRANSFER_LIMITS):
        for element in page:
            if isinstance(element, LongElement):
                letter = DeadLetter.about_long(element.fingerprint, size_bytes=element.size_bytes, **about)
                queue.set_aside(executor, element, letter_id=letter.letter_id, letter=letter.encode())
            else:
                letter = DeadLetter.about(element, request_id=None, **about)
                queue.bury(executor, element, letter.encode())
            letters.append(letter)
    return letters


def test_what_is_buried_in_a_letter_or_beside_it_has_not_disappeared(client: redis.Redis) -> None:
    letters = bury(client, GARBAGE)
    assert [letter.size_bytes for letter in letters if letter.element_key] == [HUGE_CHARACTERS]
    assert lost_elements(client, GARBAGE) == []


def test_a_letter_whose_element_is_gone_or_is_another_does_not_count(client: redis.Redis) -> None:
    [short, long] = bury(client, ("junk", "x" * HUGE_CHARACTERS))
    client.delete(long.element_key or "")
    expected = ["junk", "x" * HUGE_CHARACTERS, "never buried"]
    missing = lost_elements(client, expected)
    assert [line.rpartition("(")[2] for line in missing] == ["12 characters)", f"{HUGE_CHARACTERS} characters)"]
    client.rpush(long.element_key or "", "y" * HUGE_CHARACTERS)
    assert lost_elements(client, expected) == missing
    assert short.element_key is None
