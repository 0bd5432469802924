"""One bound on the memory that all downloads of a process hold, paid by the bytes that really arrived (ADR 0015).

A download that has received nothing holds nothing, however long its host takes, so slow hosts keep nobody waiting.

* While less than half of the memory is held, and the owner holds less than a quarter, a download takes what it needs
  as it arrives.
* Beyond that it has to reserve all it can still come to at once, and waits its turn for that.

So nothing can lock up: whoever has reserved never waits again and ends by its own deadline, and those who wait hold at
most the first half (an owner's: the first quarter), which leaves room for the largest download. An owner never holds
more than half, so one whose hosts stop halfway leaves the other half to everybody else.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from services.turns.fair_lock import CANCEL_CHECK_SECONDS, ShuttingDown

STEP_BYTES: Final = 4 * 1024
"""What is taken at a time at least. A fast host fills a network read of 64 KiB, which is one step; a dripping one
pays for 4 KiB."""

OWNER_SHARE: Final = 2
"""An owner may hold the whole divided by this."""

UNRESERVED_SHARE: Final = 2
"""Of the whole, and of an owner's share: the part that is taken without reserving is this fraction."""


class Holding:
    """What one download holds. Used in one event loop."""

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
        """Hold ``size_bytes`` in all if that needs no waiting; whether it does now.

        Args:
            size_bytes: what the download has come to.
            at_most_bytes: what it can come to; at least ``size_bytes`` and the same in every call.
        """
        return size_bytes <= self.size_bytes or self._memory.take(self, size_bytes, at_most_bytes)

    async def hold(self, size_bytes: int, at_most_bytes: int) -> None:
        """Hold ``size_bytes`` in all, however long that takes; arguments as for ``try_hold``.

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
    """A download that waits for all it can come to."""

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
    """Shared by all threads of a process, each with an event loop of its own.

    Args:
        total_bytes: what all downloads together may hold.
        largest_bytes: the most that one may come to.
        check_seconds: how long a download that waits may overlook a shutdown.

    Raises:
        ValueError: the total is too small for the largest download of an owner who holds an unreserved part already.
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
        """A holding of nothing yet; after the ``with`` block it is given back, from whichever thread.

        Args:
            owner: on whose behalf.
            cancelled: true once the process is shutting down; then waiting ends with ``ShuttingDown``.
            while_waiting: entered while the download waits for memory.
        """
        holding = Holding(self, owner, cancelled, while_waiting)
        try:
            yield holding
        finally:
            self._give_back(holding)

    def take(self, holding: Holding, size_bytes: int, at_most_bytes: int) -> bool:
        """For ``Holding.try_hold``: a step of the unreserved part, if there is one."""
        in_steps = min(-(-size_bytes // STEP_BYTES) * STEP_BYTES, at_most_bytes)
        step = in_steps - holding.size_bytes
        with self._lock:
            fits = self._fits(step, UNRESERVED_SHARE) and self._owner_may(holding.owner, step, UNRESERVED_SHARE)
            if fits:
                self._add(holding, step)
            return fits

    def reserve(self, holding: Holding, at_most_bytes: int) -> asyncio.Event:
        """For ``Holding.hold``: queue up for all the download can come to. The event is set once it is held."""
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
        """Grant what fits, in the order of asking; only owners at their limit are passed over."""
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
