"""Waiting of many threads for one thing: in order, and left soon when the process shuts down."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.shutdown import CANCEL_CHECK_SECONDS, ShuttingDown


class FairLock:
    """A lock that is passed on in the order of asking, and that can be given up while waiting for it.

    ``threading.Semaphore`` with a timeout is not fair: whoever looks up from waiting goes to the end of the queue.

    Args:
        holders: how many may hold it at once.
        check_seconds: how long a waiter may overlook a shutdown.
    """

    def __init__(self, holders: int = 1, *, check_seconds: float = CANCEL_CHECK_SECONDS) -> None:
        self._check_seconds = check_seconds
        self._mutex = threading.Lock()
        self._free = holders
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def held(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Holds the lock for the ``with`` block.

        Raises:
            ShuttingDown: ``cancelled()`` became true before it was our turn.
        """
        self._acquire(cancelled)
        try:
            yield
        finally:
            self._pass_on()

    def _acquire(self, cancelled: Callable[[], bool]) -> None:
        with self._mutex:
            if self._free:
                self._free -= 1
                return
            ours = threading.Event()
            self._waiting.append(ours)
        while not ours.wait(self._check_seconds):
            if cancelled():
                self._give_up(ours)
                raise ShuttingDown

    def _give_up(self, ours: threading.Event) -> None:
        with self._mutex:
            if not ours.is_set():
                self._waiting.remove(ours)
                return
        self._pass_on()  # it was handed to us in the same moment

    def _pass_on(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
