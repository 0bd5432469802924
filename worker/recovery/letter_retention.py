"""Deletes dead letters after a month, so that Redis does not grow for ever.

A letter is kept for a person to read; its session was settled when it was buried, or soon after.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.queue.task_queue import TaskQueue
from worker.dead_letters import DeadLetter

log = structlog.get_logger()

KEPT_FOR: Final = timedelta(days=30)
"""As long as the claim of its session is kept."""

LOOK_EVERY: Final = timedelta(hours=1)
"""Interval of the rounds that do something; hosted Redis bills each command."""

LETTERS_A_LOOK: Final = 100
"""Most letters deleted in one such round: reading one can transfer up to a megabyte."""


class LetterRetention:
    """Deletes letters that are too old. ``round`` may be called at any time; it works once in ``LOOK_EVERY``."""

    def __init__(self, queue: TaskQueue, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._queue = queue
        self._now = now
        self._next_look_at = now()

    def round(self) -> None:
        """Delete some, if it is time to.

        Raises:
            RedisError: Redis is unreachable.
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
    """Whether a letter is old enough to be deleted; an unreadable one always is."""
    letter = _read(stored)
    return letter is None or now - datetime.fromisoformat(letter.buried_at) > KEPT_FOR


def element_key(stored: bytes) -> str | None:
    """The key of the letter's element, if that is not in the letter."""
    letter = _read(stored)
    return None if letter is None else letter.element_key


def _read(stored: bytes) -> DeadLetter | None:
    try:
        letter = DeadLetter.decode(stored)
        datetime.fromisoformat(letter.buried_at)
    except (ValueError, TypeError, KeyError):
        return None
    return letter
