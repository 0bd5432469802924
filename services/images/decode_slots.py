"""How many pictures are worked on at a time: one, and a second one beside it for whoever has waited.

Two side by side push each other's bitmaps out of the processor's caches, and each takes longer. One after the other is
cheaper as long as nobody waits long for it (ADR 0050).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class DecodeSlots:
    """Up to ``slots`` holders; all but the first have waited for ``patience_seconds``."""

    def __init__(self, slots: int, patience_seconds: float) -> None:
        self._slots = slots
        self._patience_seconds = patience_seconds
        self._busy = 0
        self._changed = threading.Condition()

    @contextmanager
    def held(self) -> Iterator[None]:
        """One slot, for as long as the block lasts; blocks until there is one."""
        began_at = time.monotonic()
        with self._changed:
            while not self._may_start(time.monotonic() - began_at):
                self._changed.wait(self._wait_seconds(time.monotonic() - began_at))
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()  # one of them alone might be the one that has not waited long enough

    def _may_start(self, waited_seconds: float) -> bool:
        return self._busy == 0 or (self._busy < self._slots and waited_seconds >= self._patience_seconds)

    def _wait_seconds(self, waited_seconds: float) -> float | None:
        """Until patience ends; afterwards only somebody's end changes anything."""
        left = self._patience_seconds - waited_seconds
        return left if left > 0 else None
