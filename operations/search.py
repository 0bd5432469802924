"""Where a session's task is in Redis: waiting, in flight, or in a dead letter. Bounded in time; reads only."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from services.queue.task_queue import Element, TaskQueue
from worker.dead_letters import DeadLetter
from worker.queue_elements import TRANSFER_LIMITS, session_named_by

SEARCH_SECONDS: Final = 4.0
"""For the queue, for all in-flight lists, and for the dead letters. A page of a thousand tasks takes some milliseconds,
so this is a queue of several hours."""


Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a task was found. ``is_complete``: every list was read to its end, so "not found" means "not there"."""

    is_waiting: bool
    in_flight: tuple[UUID, ...]
    letters: tuple[DeadLetter, ...]
    is_complete: bool


def find(queue: TaskQueue, session_id: UUID, now: Callable[[], float] = time.monotonic) -> Places:
    """Look for a session's task, in the order in which a task moves, so that it is not missed while it does."""
    watches = [_Watch(now)]
    is_waiting = _is_in(watches[-1].each(queue.waiting(TRANSFER_LIMITS)), session_id)
    watches.append(_Watch(now))
    in_flight = tuple(
        executor
        for executor in queue.executors()
        if _is_in(watches[-1].each(queue.in_flight(executor, TRANSFER_LIMITS)), session_id)
    )
    watches.append(_Watch(now))
    letters = tuple(letter for letter in _letters(queue, watches[-1]) if str(session_id) in letter.session_ids)
    return Places(
        is_waiting=is_waiting,
        in_flight=in_flight,
        letters=letters[::-1],
        is_complete=not any(watch.is_over for watch in watches),
    )


def _is_in(pages: Iterator[list[Element]], session_id: UUID) -> bool:
    return any(session_named_by(element) == session_id for page in pages for element in page)


class _Watch:
    """Ends what takes too long."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._deadline = now() + SEARCH_SECONDS
        self._now = now
        self.is_over = False

    def each(self, things: Iterator[Thing]) -> Iterator[Thing]:
        """As many as there is time for."""
        for thing in things:
            yield thing
            if self._now() > self._deadline:
                self.is_over = True
                return


def _letters(queue: TaskQueue, in_time: _Watch) -> Iterator[DeadLetter]:
    for stored in in_time.each(queue.dead_letters()):
        try:
            yield DeadLetter.decode(stored)
        except (ValueError, TypeError, KeyError):
            continue  # `dead-letters list` counts them
