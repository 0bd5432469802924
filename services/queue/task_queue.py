"""The platform's queue in Redis and the worker's lists beside it (``services/queue/queue_keys.py`` names them).

No element is read whole that is longer than the caller asks for (docs/adr/0014).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import redis

from services.queue import scripts as queue_scripts
from services.queue.connection import BLOCKING_POP_SECONDS, HEALTH_KEY, HEALTH_KEY_MILLISECONDS
from services.queue.queue_keys import FIRST_QUEUE, QueueKeys

FIRST_QUEUE_KEYS: Final = QueueKeys.of(FIRST_QUEUE)
QUEUE_KEY: Final = FIRST_QUEUE_KEYS.queue
EXECUTORS_KEY: Final = FIRST_QUEUE_KEYS.executors
DEAD_LETTERS_KEY: Final = FIRST_QUEUE_KEYS.dead_letters
in_flight_key: Final = FIRST_QUEUE_KEYS.in_flight
set_aside_key: Final = FIRST_QUEUE_KEYS.set_aside
"""Of the platform's queue."""

PAGE_ELEMENTS: Final = 1_000
PAGE_BYTES: Final = 4 * 1024 * 1024
"""Of a list, read at a time. The usual thousand has 2 MB. A page ends with the element that fills it."""

OVERLAP_SHARE: Final = 4
"""When the queue is searched, a quarter of each page is read twice. While the search goes from the right end leftwards,
taken tasks move the rest towards it; more than these are not taken between two reads."""

PIECE_BYTES: Final = 8 * 1024 * 1024
"""Of an element that was set aside, read at a time."""


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """How much of one element is read: all of up to ``whole_bytes``, or else ``end_bytes`` of either end."""

    whole_bytes: int
    end_bytes: int


@dataclass(frozen=True, slots=True)
class LongElement:
    """An element too long to be read whole. ``fingerprint`` is a digest of its size and both its ends."""

    size_bytes: int
    fingerprint: str
    head: bytes
    tail: bytes


Element = bytes | LongElement


@dataclass(frozen=True, slots=True)
class QueueLook:
    """How many elements wait, and the one that is taken next: ``None`` when none waits or it is too long."""

    waiting: int
    oldest: bytes | None


WHOLE: Final = TransferLimits(whole_bytes=2**53, end_bytes=0)
"""For letters: whatever their size (a Lua number counts exactly as far as this)."""


class TaskQueue:
    """One connection's view of a queue. Redis errors pass through: only the caller knows what they mean for it.

    Args:
        client: the connection.
        name: of the queue; the platform's is the only one so far.
        page_elements: most elements of a page.
    """

    def __init__(self, client: redis.Redis, name: str = FIRST_QUEUE, *, page_elements: int = PAGE_ELEMENTS) -> None:
        self._page_elements = page_elements
        self.keys = QueueKeys.of(name)
        # redis-py types one class for its sync and async clients, so every answer is also "perhaps awaitable".
        self._redis: Any = client
        self._read_page = self._redis.register_script(queue_scripts.READ_PAGE)
        self._set_aside = self._redis.register_script(queue_scripts.SET_ASIDE)
        self._hand_back = self._redis.register_script(queue_scripts.HAND_BACK)
        self._find_letter = self._redis.register_script(queue_scripts.FIND_LETTER)
        self._replay = self._redis.register_script(queue_scripts.REPLAY)
        self._replay_set_aside = self._redis.register_script(queue_scripts.REPLAY_SET_ASIDE)
        self._look = self._redis.register_script(queue_scripts.LOOK)
        self._read_piece = self._redis.register_script(queue_scripts.READ_PIECE)

    def take(self, executor: UUID, *, timeout_seconds: float = BLOCKING_POP_SECONDS) -> bytes | None:
        """Move the oldest task to the executor's in-flight list and return it; ``None`` when none came in time.

        BLMOVE is the atomic form of FR-1.1's BRPOP: a task is in the one list or the other at every instant
        (docs/adr/0002).

        Raises:
            ReplyTooLarge: the element is longer than the connection reads; it was moved.
        """
        element: bytes | None = self._redis.blmove(
            self.keys.queue, self.keys.in_flight(executor), timeout_seconds, "RIGHT", "LEFT"
        )
        return element

    def interrupt(self) -> None:
        """End a ``take`` that blocks in another thread; it raises ``redis.ConnectionError`` there.

        An element that it moves in this instant is in flight, and nobody was told.
        """
        self._redis.connection_pool.interrupt()

    def look(self, *, most_bytes: int) -> QueueLook:
        """What waits, told by a server that takes writes: a replica or a full one raises. One command.

        Args:
            most_bytes: the oldest element is not read when it is longer.
        """
        waiting, oldest = self._look([self.keys.queue, HEALTH_KEY], [HEALTH_KEY_MILLISECONDS, most_bytes])
        return QueueLook(waiting, oldest)

    def length(self) -> int:
        """How many tasks wait; unlike :meth:`look` it writes nothing."""
        return int(self._redis.llen(self.keys.queue))

    def next_waiting(self, limits: TransferLimits) -> Element | None:
        """The element that is taken next, which has waited longest; ``None`` when none waits."""
        _, *entries = self._read_page([self.keys.queue], [-1, 1, 1, limits.whole_bytes, limits.end_bytes])
        return _element(entries[0]) if entries else None

    def in_flight_counts(self, executors: Sequence[UUID]) -> dict[UUID, int]:
        """How many tasks each of them took and did not finish."""
        with self._redis.pipeline(transaction=False) as steps:
            for executor in executors:
                steps.llen(self.keys.in_flight(executor))
            return dict(zip(executors, steps.execute(), strict=True))

    def dead_letter_count(self) -> int:
        """How many dead letters there are."""
        return int(self._redis.llen(self.keys.dead_letters))

    def waiting(self, limits: TransferLimits) -> Iterator[list[Element]]:
        """The queue in pages, from the end that is taken next; the caller stops when it has seen enough.

        Tasks may be taken meanwhile: the pages overlap, so an element that is in the queue throughout is not missed.
        """
        return self._pages(self.keys.queue, limits, overlap_share=OVERLAP_SHARE)

    def in_flight(self, executor: UUID, limits: TransferLimits) -> Iterator[list[Element]]:
        """What the executor took and did not finish, in pages, oldest first.

        An element behind one that is finished between two pages may be missed; it is there the next time.
        """
        return self._pages(self.keys.in_flight(executor), limits)

    def finish(self, executor: UUID, element: bytes) -> None:
        """Drop one in-flight copy: its session is terminal."""
        self._redis.lrem(self.keys.in_flight(executor), 1, element)

    def hand_back(self, executor: UUID) -> int:
        """Move everything an executor has in flight back to the queue, to be taken next, oldest first."""
        moved, empty = 0, False
        while not empty:
            count, empty = self._hand_back(
                [self.keys.in_flight(executor), self.keys.queue], [self._page_elements, PAGE_BYTES]
            )
            moved += count
        return moved

    def bury(self, executor: UUID, element: bytes, letter: bytes) -> None:
        """Replace an in-flight copy by a dead letter, in one step."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.lpush(self.keys.dead_letters, letter)
            steps.lrem(self.keys.in_flight(executor), 1, element)
            steps.execute()

    def set_aside(self, executor: UUID, element: LongElement, *, letter_id: str, letter: bytes) -> bool:
        """Replace the in-flight copy of a long element by a dead letter and keep its bytes under a key of their own,
        in one step and without reading them.

        Returns:
            ``False`` when it is not in flight any more (somebody else dealt with it) and nothing was done.
        """
        done = self._set_aside(
            [self.keys.in_flight(executor), self.keys.set_aside(letter_id), self.keys.dead_letters],
            [element.size_bytes, element.fingerprint, len(element.head), letter],
        )
        return bool(done)

    def dead_letters(self) -> Iterator[bytes]:
        """All dead letters, oldest first."""
        for page in self._pages(self.keys.dead_letters, WHOLE):
            yield from (letter for letter in page if isinstance(letter, bytes))

    def oldest_dead_letter(self) -> bytes | None:
        """The one that was buried first."""
        letter: bytes | None = self._redis.lindex(self.keys.dead_letters, -1)
        return letter

    def dead_letter(self, opening: bytes) -> bytes | None:
        """The newest dead letter that begins so."""
        letter: bytes | None = self._find_letter([self.keys.dead_letters], [opening])
        return letter

    def replay(self, letter: bytes, element: bytes) -> bool:
        """Put an element into the queue again, to be taken next, and drop its dead letter, in one step.

        Returns:
            ``False`` when the letter is not there any more (somebody else dealt with it) and nothing was done.
        """
        return bool(self._replay([self.keys.queue, self.keys.dead_letters], [letter, element]))

    def replay_set_aside(self, letter: bytes, key: str) -> bool:
        """The same for an element that was set aside under ``key``; ``False`` when it is not there."""
        return bool(self._replay_set_aside([key, self.keys.queue, self.keys.dead_letters], [letter]))

    def discard(self, letter: bytes, key: str | None = None) -> None:
        """Drop a dead letter, and the element that was set aside for it under ``key``."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.lrem(self.keys.dead_letters, -1, letter)  # from the old end, where most that go are
            if key is not None:
                steps.unlink(key)
            steps.execute()

    def read_set_aside(self, key: str, *, start: int = 0, size_bytes: int = PIECE_BYTES) -> bytes | None:
        """A piece of an element that was set aside; empty behind its end, ``None`` when it is not there."""
        piece: bytes | None = self._read_piece([key], [start + 1, start + size_bytes])
        return piece

    def register(self, executor: UUID) -> None:
        """Put an executor's in-flight list on record, before it takes its first task."""
        self._redis.sadd(self.keys.executors, str(executor))

    def forget(self, executor: UUID) -> None:
        """Take the emptied in-flight list of a dead executor off the record."""
        self._redis.srem(self.keys.executors, str(executor))

    def executors(self) -> list[UUID]:
        """All executors on record, dead or alive."""
        return [UUID(name.decode()) for name in self._redis.smembers(self.keys.executors)]

    def _pages(self, key: str, limits: TransferLimits, *, overlap_share: int | None = None) -> Iterator[list[Element]]:
        """A list from its right end leftwards, one command for each page."""
        right, at_left_end = -1, False
        while not at_left_end:
            at_left_end, *entries = self._read_page(
                [key], [right, self._page_elements, PAGE_BYTES, limits.whole_bytes, limits.end_bytes]
            )
            if entries:
                yield [_element(entry) for entry in entries]
            right -= len(entries) - (len(entries) // overlap_share if overlap_share else 0)


def _element(entry: bytes | list[Any]) -> Element:
    if isinstance(entry, bytes):
        return entry
    size_bytes, fingerprint, head, tail = entry
    return LongElement(size_bytes, fingerprint.decode(), head, tail)
