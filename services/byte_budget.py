"""A memory budget that all downloads of a process share, in bytes that have really arrived (ADR 0015).

A download that has received nothing holds nothing, so a slow host makes no other download wait.

* While less than half of the budget is held, and the owner holds less than a quarter, a download takes bytes as they
  arrive.
* Beyond that it must reserve the largest size it can still reach, in one step, and waits until that is granted.

There is no deadlock. A download that has reserved never waits again and ends by its own deadline. Downloads that wait
hold at most the first half together (those of one owner: the first quarter), which leaves room for the largest
download. An owner never holds more than half: when its hosts stop in the middle, the other half is free for others.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from services.shutdown import CANCEL_CHECK_SECONDS, ShuttingDown

STEP_BYTES: Final = 4 * 1024
"""Smallest amount taken at a time. A fast host fills a network read of 64 KiB and takes that in one step; a slow one
takes 4 KiB."""

OWNER_SHARE: Final = 2
"""Divisor: one owner may hold this part of the budget."""

UNRESERVED_SHARE: Final = 2
"""Divisor: this part of the budget, and of an owner's share, can be taken without reserving."""


class Holding:
    """The bytes that one download holds. Used in one event loop."""

    def __init__(
        self,
        memory: "ByteBudget",
        owner: Hashable,
        cancelled: Callable[[], bool],
        while_waiting: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.owner = owner
        self.size_bytes = 0
        self._memory = memory
        self._cancelled = cancelled
        self._while_waiting = while_waiting

    def try_hold(self, size_bytes: int, at_most_bytes: int) -> bool:
        """Raise the holding to ``size_bytes`` if that is possible without waiting; returns whether it was.

        Args:
            size_bytes: how large the download is so far.
            at_most_bytes: how large it can become; at least ``size_bytes``, and the same in every call.
        """
        return size_bytes <= self.size_bytes or self._memory.take(self, size_bytes, at_most_bytes)

    async def hold(self, size_bytes: int, at_most_bytes: int) -> None:
        """Raise the holding to ``size_bytes``, and wait as long as that takes; arguments as for ``try_hold``.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
        """
        if self.try_hold(size_bytes, at_most_bytes):
            return
        granted = self._memory.reserve(self, at_most_bytes)
        if granted.is_set():
            return
        with self._while_waiting():
            while not granted.is_set():
                if self._cancelled():
                    raise ShuttingDown
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._memory.check_seconds):
                        await granted.wait()


class _Waiter:
    """A download that waits for its reservation."""

    def __init__(self, at_most_bytes: int) -> None:
        self.at_most_bytes = at_most_bytes
        self.granted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def wake(self) -> None:
        if threading.get_ident() == self._thread:
            self.granted.set()
        else:
            self._loop.call_soon_threadsafe(self.granted.set)


class ByteBudget:
    """The budget, shared by all threads of a process, each with an event loop of its own.

    Args:
        total_bytes: what all downloads together may hold.
        largest_bytes: the largest size of one download.
        check_seconds: how long a download that waits may overlook a shutdown.

    Raises:
        ValueError: the total is too small: an owner's share, less what it can take without reserving, must have room
            for one download of the largest size.
    """

    def __init__(self, total_bytes: int, *, largest_bytes: int, check_seconds: float = CANCEL_CHECK_SECONDS) -> None:
        owner_bytes = total_bytes // OWNER_SHARE
        if owner_bytes - owner_bytes // UNRESERVED_SHARE < largest_bytes:
            raise ValueError("the memory is too small for the largest download")
        self.check_seconds = check_seconds
        self._total_bytes = total_bytes
        self._lock = threading.Lock()
        self._held_bytes = 0
        self._held_by_owner: Counter[Hashable] = Counter()
        self._waiting: dict[Holding, _Waiter] = {}

    @contextmanager
    def holding(
        self,
        owner: Hashable,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Iterator[Holding]:
        """An empty holding; its bytes are given back at the end of the ``with`` block, in whichever thread that is.

        Args:
            owner: whose share of the budget it counts against.
            cancelled: true once the process is shutting down; waiting then ends with ``ShuttingDown``.
            while_waiting: context that is entered while the download waits for its reservation.
        """
        holding = Holding(self, owner, cancelled, while_waiting)
        try:
            yield holding
        finally:
            self._give_back(holding)

    def take(self, holding: Holding, size_bytes: int, at_most_bytes: int) -> bool:
        """For ``Holding.try_hold``: take a step without reserving, if the budget allows it."""
        in_steps = min(-(-size_bytes // STEP_BYTES) * STEP_BYTES, at_most_bytes)
        step = in_steps - holding.size_bytes
        with self._lock:
            fits = self._fits(step, UNRESERVED_SHARE) and self._owner_may(holding.owner, step, UNRESERVED_SHARE)
            if fits:
                self._add(holding, step)
            return fits

    def reserve(self, holding: Holding, at_most_bytes: int) -> asyncio.Event:
        """For ``Holding.hold``: queue for a reservation of ``at_most_bytes``. The event is set when it is granted."""
        waiter = _Waiter(at_most_bytes)
        with self._lock:
            self._waiting[holding] = waiter
            self._serve()
        return waiter.granted

    def _give_back(self, holding: Holding) -> None:
        with self._lock:
            self._waiting.pop(holding, None)
            self._add(holding, -holding.size_bytes)
            if not self._held_by_owner[holding.owner]:
                del self._held_by_owner[holding.owner]
            self._serve()

    def _serve(self) -> None:
        """Grant reservations in the order they were asked for; only owners at their limit are skipped."""
        for holding, waiter in list(self._waiting.items()):
            rest = waiter.at_most_bytes - holding.size_bytes
            if not self._owner_may(holding.owner, rest):
                continue
            if not self._fits(rest):
                return
            self._add(holding, rest)
            del self._waiting[holding]
            waiter.wake()

    def _fits(self, more_bytes: int, share: int = 1) -> bool:
        return self._held_bytes + more_bytes <= self._total_bytes // share

    def _owner_may(self, owner: Hashable, more_bytes: int, share: int = 1) -> bool:
        return self._held_by_owner[owner] + more_bytes <= self._total_bytes // OWNER_SHARE // share

    def _add(self, holding: Holding, more_bytes: int) -> None:
        holding.size_bytes += more_bytes
        self._held_bytes += more_bytes
        self._held_by_owner[holding.owner] += more_bytes
