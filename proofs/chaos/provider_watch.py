"""Counts the provider's requests for each task, from what the simulator saw."""

import re
import threading
from collections import Counter
from typing import Final

import httpx

from sandbox.servers.simulator import LocalSimulator

TASK_NUMBER: Final = re.compile(r"chaos-(\d+)")
"""As ``TaskPlan.prompt`` writes it."""

LOOK_SECONDS: Final = 4.0
"""The simulator keeps its last 200 requests; at five a second (the gate's pace) they last 40 s."""


class ProviderWatch:
    """Looks at the simulator's latest requests again and again; ``calls`` are those of each task by number."""

    def __init__(self, simulator: LocalSimulator) -> None:
        self._simulator = simulator
        self._task_of: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="provider-watch")
        self.requests = 0
        self.peak_requests_per_minute = 0

    @property
    def calls(self) -> Counter[int]:
        """How many requests each task made."""
        return Counter(self._task_of.values())

    @property
    def unattributed(self) -> int:
        """Requests that broke off before their prompt could be read."""
        return self.requests - len(self._task_of)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look once more and end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            with self._simulator.control() as control:
                stats = control.stats()
        except httpx.HTTPError:
            return  # busy; the next look sees the same requests
        self.requests = stats["requests"]
        self.peak_requests_per_minute = stats["peak_requests_in_60_seconds"]
        for seen in stats["recent"]:
            found = TASK_NUMBER.search(seen["fields"].get("prompt", ""))
            if found is not None:
                self._task_of[seen["request_id"]] = int(found[1])
