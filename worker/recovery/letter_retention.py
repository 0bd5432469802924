"""Dead letters are kept for a month and then forgotten, so that Redis does not grow for ever.

A letter is for a person to look at; its session was settled long ago. One that is replayed or discarded by then is gone
already.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.queue.task_queue import TaskQueue
from worker.dead_letters import DeadLetter

log = structlog.get_logger()

KEPT_FOR: Final = timedelta(days=30)
"""As long as the record of who ran its session."""

LOOK_EVERY: Final = timedelta(hours=1)
"""Hosted Redis bills each command."""

LETTERS_A_LOOK: Final = 100
"""The rest goes with the next looks: each may take up to a megabyte to read."""


class LetterRetention:
    """Forgets letters that are too old. ``round`` may be called as often as one likes."""

    def __init__(self, queue: TaskQueue, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._queue = queue
        self._now = now
        self._next_look_at = now()

    def round(self) -> None:
        """Forget some, when it is time to look.

        Raises:
            RedisError: Redis is away.
        """
        now = self._now()
        if now < self._next_look_at:
            return
        self._next_look_at = now + LOOK_EVERY
        forgotten = 0
        while forgotten < LETTERS_A_LOOK and (stored := self._queue.oldest_dead_letter()) is not None:
            if not is_over(stored, now):
                break
            self._queue.discard(stored, element_key(stored))
            forgotten += 1
        if forgotten:
            log.info("dead_letters_forgotten", count=forgotten, older_than_days=KEPT_FOR.days)


def is_over(stored: bytes, now: datetime) -> bool:
    """Whether a letter has been kept long enough; one that nobody can read has."""
    letter = _read(stored)
    return letter is None or now - datetime.fromisoformat(letter.buried_at) > KEPT_FOR


def element_key(stored: bytes) -> str | None:
    """Where the letter's element is, when it is not in the letter."""
    letter = _read(stored)
    return None if letter is None else letter.element_key


def _read(stored: bytes) -> DeadLetter | None:
    try:
        letter = DeadLetter.decode(stored)
        datetime.fromisoformat(letter.buried_at)
    except (ValueError, TypeError, KeyError):
        return None
    return letter
