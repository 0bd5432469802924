"""Waits for something to become true, and says what was seen last when it does not."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

POLL_SECONDS: Final = 0.1

Seen = TypeVar("Seen")


def wait_for(what: str, look: Callable[[], Seen], *, seconds: float, poll_seconds: float = POLL_SECONDS) -> Seen:
    """Look until the answer counts as true, and return it. Raises ``TimeoutError``, which names the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for this: {what}; last seen: {seen!r}")
        time.sleep(poll_seconds)
