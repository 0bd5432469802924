"""Lines that say what is being done, with the time since the start."""

import time
from collections.abc import Callable

Say = Callable[[str], None]
"""Prints one line of progress."""


def progress() -> Say:
    """A printer whose lines begin with minutes and seconds since now."""
    started = time.monotonic()

    def say(text: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - started), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)

    return say
