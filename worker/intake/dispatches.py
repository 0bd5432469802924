"""The dispatches of one executor and their states; back-pressure and hang detection are based on them.

Kept in memory in the main process and updated by the events of the Celery process, so that the question whether a
thread is free costs no Redis command.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import uuid4

from worker.link import Event, RunBroke, RunFinished, RunPostponed, RunReturned, RunStarted


@dataclass(slots=True)
class Dispatch:
    """One element given to Celery.

    ``due_at`` is when it should have been started, on the monotonic clock. It is ``None`` until the broker has it: if
    the broker takes nothing, Celery is not to blame.
    """

    dispatch_id: str
    element: bytes
    due_at: float | None = None
    started: bool = False


class DispatchLedger:
    """All dispatches that are not over. Safe to share between threads."""

    def __init__(self, capacity: int, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._now = now
        self._changed = threading.Condition()
        self._dispatches: dict[str, Dispatch] = {}
        self._returned = False
        self._broken: list[tuple[bytes, str]] = []

    def wait_for_room(self, timeout_seconds: float) -> bool:
        """Whether another task could start now; waits for it up to the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._dispatches) < self._capacity, timeout_seconds)

    def add(self, element: bytes) -> Dispatch:
        """Enter an element that is about to be given to Celery."""
        dispatch = Dispatch(str(uuid4()), element)
        with self._changed:
            self._dispatches[dispatch.dispatch_id] = dispatch
        return dispatch

    def published(self, dispatch: Dispatch) -> None:
        """The broker has it, so Celery should start it from now on."""
        with self._changed:
            dispatch.due_at = self._now()

    def receive(self, event: Event) -> None:
        """Update the dispatch that an event of the Celery process is about."""
        with self._changed:
            match event:
                case RunStarted(dispatch_id) if dispatch_id in self._dispatches:
                    self._dispatches[dispatch_id].started = True
                case RunPostponed(dispatch_id, delay_seconds) if dispatch_id in self._dispatches:
                    dispatch = self._dispatches[dispatch_id]
                    dispatch.started = False
                    dispatch.due_at = self._now() + delay_seconds
                case RunFinished(dispatch_id):
                    self._dispatches.pop(dispatch_id, None)
                case RunReturned(dispatch_id):
                    self._dispatches.pop(dispatch_id, None)
                    self._returned = True
                case RunBroke(dispatch_id, reason) if dispatch_id in self._dispatches:
                    self._broken.append((self._dispatches.pop(dispatch_id).element, reason))
                    self._returned = True
                case _:
                    pass
            self._changed.notify_all()

    def has_returned(self) -> bool:
        """Whether a run was returned since the last ``take_returned``."""
        with self._changed:
            return self._returned

    def take_returned(self) -> bool:
        """The same, and reset it; the caller then dispatches the in-flight copies again."""
        with self._changed:
            returned, self._returned = self._returned, False
            return returned

    def broken(self) -> list[tuple[bytes, str]]:
        """Elements whose run broke, each with its error; they count as dispatched until they are :meth:`buried`."""
        with self._changed:
            return list(self._broken)

    def buried(self, element: bytes, reason: str) -> None:
        """The element of a broken run is no longer in flight."""
        with self._changed:
            self._broken.remove((element, reason))

    def not_dispatched(self, in_flight: Iterable[bytes]) -> list[bytes]:
        """In-flight copies without a dispatch: a reply of Redis was lost, or a run was returned."""
        with self._changed:
            known = Counter(dispatch.element for dispatch in self._dispatches.values())
            known.update(element for element, _ in self._broken)
        missing = []
        for element in in_flight:
            if known[element]:
                known[element] -= 1
            else:
                missing.append(element)
        return missing

    def overdue_seconds(self) -> float:
        """How long the oldest due dispatch has waited although a thread is free; 0 when none waits."""
        with self._changed:
            waiting = [
                dispatch.due_at
                for dispatch in self._dispatches.values()
                if not dispatch.started and dispatch.due_at is not None
            ]
            if not waiting or self._running() >= self._capacity:
                return 0.0
            return max(0.0, self._now() - min(waiting))

    def running(self) -> int:
        """How many dispatches a pool thread works on."""
        with self._changed:
            return self._running()

    def count(self) -> int:
        """How many dispatches are not over."""
        with self._changed:
            return len(self._dispatches)

    def _running(self) -> int:
        return sum(dispatch.started for dispatch in self._dispatches.values())
