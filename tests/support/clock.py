"""Clocks that move when told to."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

STEP_SECONDS: Final = 30.0
"""For what a loop does at once."""

Result = TypeVar("Result")


class SteppedClock:
    """Stands for ``time.monotonic``."""

    def __init__(self, started_at: float = 0.0) -> None:
        self._now = started_at

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class SteppableLoop(asyncio.SelectorEventLoop):
    """An event loop on real time that can be made later than it is."""

    def __init__(self) -> None:
        self._ahead_seconds = 0.0
        super().__init__()

    def time(self) -> float:
        """What its timers and its timeouts go by."""
        return super().time() + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        """Let time pass, for what runs in the loop's thread."""
        self._ahead_seconds += seconds

    def advance_threadsafe(self, seconds: float) -> None:
        """Let time pass, for other threads; returns when all timers were called that are due by then."""
        passed = threading.Event()

        def advance() -> None:
            self.call_later(seconds, passed.set)
            self.advance(seconds)

        self.call_soon_threadsafe(advance)
        if not passed.wait(STEP_SECONDS):
            raise TimeoutError("the loop does not go on")


async def sleep_at_once(seconds: float) -> None:
    """``asyncio.sleep`` in a :class:`SteppableLoop`, over in no time; what is due before it happens before it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppableLoop)
    loop.call_soon(loop.advance, seconds)
    await asyncio.sleep(seconds)


def run_in(loop: SteppableLoop, work: Coroutine[Any, Any, Result]) -> Result:
    """``asyncio.run`` in this loop, which is closed in the end."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work)
