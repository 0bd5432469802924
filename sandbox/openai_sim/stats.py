"""What arrived, for tests and benchmarks to look at afterwards."""

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sandbox.openai_sim.edit_request import EditRequest, Form

WINDOW_SECONDS: Final = 60.0
"""NFR-1.4 counts requests in any window of this length."""

KEPT_REQUESTS: Final = 200
KEPT_ARRIVALS: Final = 100_000
"""Bounds, so that memory stays flat in a long run: five hours of arrivals at 300 per minute."""

KEPT_FIELD_CHARACTERS: Final = 2_000

CLIENT_GONE: Final = "client gone"
"""Stands in place of a status where the client hung up before the answer was complete."""

CONNECTION_DROPPED: Final = "connection dropped"
"""Stands in place of a status where a fault closed the connection."""


@dataclass(slots=True)
class SeenRequest:
    """One request as it was read; ``arrived_at`` is Unix time in seconds, when the request's head was read."""

    arrived_at: float
    request_id: str
    outcome: str = ""
    duration_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    image_field_names: list[str] = field(default_factory=list)

    def note_form(self, form: Form) -> None:
        """Keeps the text fields (long ones cut) and how the pictures' fields were called."""
        self.fields = {name: value[:KEPT_FIELD_CHARACTERS] for name, value in form.text.items()}
        self.image_field_names = [part.name for part in form.images]

    def note_images(self, edit: EditRequest) -> None:
        """Keeps format, size in bytes and size in pixels of every picture."""
        self.images = [
            {"format": image.image_format, "bytes": image.size_bytes, "width": image.width, "height": image.height}
            for image in edit.images
        ]


class Stats:
    """Counters and the last requests since the start or the last :meth:`reset`."""

    def __init__(self) -> None:
        # Arrivals are taken on the steady clock; this turns them into Unix time for people.
        self._unix_offset_seconds = time.time() - time.monotonic()
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forgets everything except how many are in flight now; their end will not be counted."""
        self._reset_at = time.monotonic() + self._unix_offset_seconds
        self._total = 0
        self.model_lists = 0
        self._peak_in_flight = self.in_flight
        self._by_outcome: Counter[str] = Counter()
        self._by_fault: Counter[str] = Counter()
        self._by_model: Counter[str] = Counter()
        self._recent: deque[SeenRequest] = deque(maxlen=KEPT_REQUESTS)
        self._arrivals: deque[float] = deque(maxlen=KEPT_ARRIVALS)
        self._window: deque[float] = deque()
        self._peak_in_window = 0

    def arrive(self, now_seconds: float, request_id: str) -> SeenRequest:
        """Counts a request whose head was read at ``now_seconds`` of the steady clock."""
        self._total += 1
        self.in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self.in_flight)
        self._arrivals.append(now_seconds)
        self._window.append(now_seconds)
        while self._window[0] <= now_seconds - WINDOW_SECONDS:
            self._window.popleft()
        self._peak_in_window = max(self._peak_in_window, len(self._window))
        seen = SeenRequest(arrived_at=now_seconds + self._unix_offset_seconds, request_id=request_id)
        self._recent.append(seen)
        return seen

    def leave(self, seen: SeenRequest, *, outcome: str, duration_seconds: float) -> None:
        """Counts a request as over: ``outcome`` is the HTTP status, or one of this module's two phrases."""
        self.in_flight -= 1
        if seen.arrived_at < self._reset_at:
            return
        seen.outcome = outcome
        seen.duration_seconds = round(duration_seconds, 3)
        self._by_outcome[outcome] += 1
        self._by_fault.update(seen.faults)
        if "model" in seen.fields:
            self._by_model[seen.fields["model"]] += 1

    def report(self, *, with_arrivals: bool = False) -> dict[str, Any]:
        """Everything as JSON-ready data; arrivals in Unix time only on demand, for they may be many."""
        report: dict[str, Any] = {
            "requests": self._total,
            "model_lists": self.model_lists,
            "by_status": dict(self._by_outcome),
            "by_fault": dict(self._by_fault),
            "by_model": dict(self._by_model),
            "in_flight": self.in_flight,
            "peak_in_flight": self._peak_in_flight,
            "peak_requests_in_60_seconds": self._peak_in_window,
            "recent": [asdict(seen) for seen in self._recent],
        }
        if with_arrivals:
            report["arrivals"] = [arrival + self._unix_offset_seconds for arrival in self._arrivals]
        return report
