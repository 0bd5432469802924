"""[pure] One process's own record of what it used of a limit."""

import math
from bisect import bisect_left, insort


class OwnWindow:
    """At most ``most`` entries in any ``seconds``, on a steady clock. Not safe to share between threads."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._entries: list[float] = []

    def free_at(self, wanted: int) -> float:
        """The instant from which ``wanted`` more may be used; minus infinity when so few were used so far."""
        kept = self._most - wanted
        if len(self._entries) <= kept:
            return -math.inf
        return self._entries[len(self._entries) - 1 - kept] + self._seconds

    def note(self, instant: float, count: int) -> None:
        """Remembers ``count`` entries, and forgets those that are of no account any more."""
        for _ in range(count):
            insort(self._entries, instant)
        del self._entries[: -self._most]

    def move(self, instant: float, count: int, *, to: float) -> None:
        """Remembers entries of ``instant`` as of another instant; those that were forgotten already, anew."""
        start = bisect_left(self._entries, instant)
        end = start
        while end < len(self._entries) and end - start < count and self._entries[end] == instant:
            end += 1
        del self._entries[start:end]
        self.note(to, count)
