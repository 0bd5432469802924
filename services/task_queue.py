"""The platform's queue in Redis and the worker's lists beside it; all key names are spelled here.

``wearon:tasks:generation``            the producer's list: LPUSH on the left, taken from the right
``wearon:tasks:inflight:<executor>``   copies of the tasks an executor took and did not finish; newest on the left
``wearon:tasks:executors``             which in-flight lists there are
``wearon:tasks:dead``                  elements that are no tasks, with the reason and the time; newest on the left
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import redis

from services.redis_client import BLOCKING_POP_SECONDS

QUEUE_KEY: Final = "wearon:tasks:generation"
IN_FLIGHT_PREFIX: Final = "wearon:tasks:inflight:"
EXECUTORS_KEY: Final = "wearon:tasks:executors"
DEAD_LETTERS_KEY: Final = "wearon:tasks:dead"

SCAN_CHUNK: Final = 1_000
"""Elements read at a time when the queue is searched: about 1 MB."""

SCAN_OVERLAP: Final = 250
"""Elements read twice between chunks. While the search goes from the right end leftwards, taken tasks move the rest
towards it; more than this many are not taken between two reads."""


def in_flight_key(executor: UUID) -> str:
    """The list of what an executor took and did not finish."""
    return f"{IN_FLIGHT_PREFIX}{executor}"


class TaskQueue:
    """One connection's view of the queue. Redis errors pass through: only the caller knows what they mean for it."""

    def __init__(self, client: redis.Redis) -> None:
        # redis-py types one class for its sync and async clients, so every answer is also "perhaps awaitable".
        self._redis: Any = client

    def ping(self) -> None:
        """Raise when Redis does not answer."""
        self._redis.ping()

    def take(self, executor: UUID, *, timeout_seconds: float = BLOCKING_POP_SECONDS) -> bytes | None:
        """Move the oldest task to the executor's in-flight list and return it; ``None`` when none came in time.

        BLMOVE is the atomic form of FR-1.1's BRPOP: a task is in the one list or the other at every instant
        (docs/adr/0002).
        """
        element: bytes | None = self._redis.blmove(QUEUE_KEY, in_flight_key(executor), timeout_seconds, "RIGHT", "LEFT")
        return element

    def length(self) -> int:
        """How many tasks wait."""
        return int(self._redis.llen(QUEUE_KEY))

    def in_flight(self, executor: UUID) -> list[bytes]:
        """What the executor took and did not finish, newest first."""
        return list(self._redis.lrange(in_flight_key(executor), 0, -1))

    def finish(self, executor: UUID, element: bytes) -> None:
        """Drop one in-flight copy: its session is terminal."""
        self._redis.lrem(in_flight_key(executor), 1, element)

    def hand_back(self, executor: UUID) -> int:
        """Move everything an executor has in flight back to the queue, to be taken next, oldest first."""
        moved = 0
        while self._redis.lmove(in_flight_key(executor), QUEUE_KEY, "LEFT", "RIGHT") is not None:
            moved += 1
        return moved

    def bury(self, executor: UUID, element: bytes, letter: bytes) -> None:
        """Replace an in-flight copy by a dead letter, in one step."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.lpush(DEAD_LETTERS_KEY, letter)
            steps.lrem(in_flight_key(executor), 1, element)
            steps.execute()

    def dead_letters(self) -> list[bytes]:
        """All dead letters, newest first."""
        return list(self._redis.lrange(DEAD_LETTERS_KEY, 0, -1))

    def replay(self, letter: bytes, element: bytes) -> None:
        """Put an element into the queue again, to be taken next, and drop its dead letter, in one step."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.rpush(QUEUE_KEY, element)
            steps.lrem(DEAD_LETTERS_KEY, 1, letter)
            steps.execute()

    def discard(self, letter: bytes) -> None:
        """Drop a dead letter."""
        self._redis.lrem(DEAD_LETTERS_KEY, 1, letter)

    def register(self, executor: UUID) -> None:
        """Put an executor's in-flight list on record, before it takes its first task."""
        self._redis.sadd(EXECUTORS_KEY, str(executor))

    def forget(self, executor: UUID) -> None:
        """Take the emptied in-flight list of a dead executor off the record."""
        self._redis.srem(EXECUTORS_KEY, str(executor))

    def executors(self) -> list[UUID]:
        """All executors on record, dead or alive."""
        return [UUID(name.decode()) for name in self._redis.smembers(EXECUTORS_KEY)]

    def waiting(self) -> Iterator[list[bytes]]:
        """The queue's elements in chunks, from the end that is taken next; the caller stops when it has seen enough.

        Tasks may be taken meanwhile: the chunks overlap, so an element that is in the queue throughout is not missed.
        """
        start = -1
        while True:
            chunk: list[bytes] = self._redis.lrange(QUEUE_KEY, start - SCAN_CHUNK + 1, start)
            if not chunk:
                return
            yield chunk
            if len(chunk) < SCAN_CHUNK:
                return
            start -= SCAN_CHUNK - SCAN_OVERLAP
