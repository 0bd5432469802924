"""Requests that get their answer when a test says so: it waits for events where a latency would make it race."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class HeldRequests:
    """The requests that wait for their release, oldest first. Only the simulator's event loop touches it."""

    def __init__(self) -> None:
        self._releases: dict[asyncio.Event, None] = {}

    def __len__(self) -> int:
        return len(self._releases)

    @contextmanager
    def one_more(self) -> Iterator[asyncio.Event]:
        """The event that releases this request; it counts as held until then, or until its client has gone."""
        released = asyncio.Event()
        self._releases[released] = None
        try:
            yield released
        finally:
            self._releases.pop(released, None)

    def release(self, number: int) -> None:
        """Lets the ``number`` oldest go; raises ``ValueError`` when fewer are held, for the test has miscounted."""
        if number > len(self):
            raise ValueError(f"{number} were to be released, but only {len(self)} are held")
        for released in list(self._releases)[:number]:
            del self._releases[released]
            released.set()
