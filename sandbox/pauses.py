"""Pauses between one look and the next, while something is waited for."""

import time
from typing import Final

SHORTEST_SECONDS: Final = 0.02
LONGEST_SECONDS: Final = 0.1
SHARE_OF_THE_WAIT: Final = 0.1
"""Who has waited long may wait a tenth longer: looks cost the processor that what is waited for needs (ADR 0043)."""


def pause_seconds(waited_seconds: float) -> float:
    """The length of the next pause, after so long a wait."""
    return min(max(SHARE_OF_THE_WAIT * waited_seconds, SHORTEST_SECONDS), LONGEST_SECONDS)


class Pauses:
    """The pauses of one wait, which begins now."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def waited_seconds(self) -> float:
        """Since the wait began."""
        return time.monotonic() - self._began

    def take(self) -> None:
        """Sleep until it is time for the next look."""
        time.sleep(pause_seconds(self.waited_seconds))
