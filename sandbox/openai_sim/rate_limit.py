"""[pure] The account's limit of requests per minute, answered as the real API answers it. The caller says when."""

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60.0

UNLIMITED_HEADER_VALUE: Final = 10_000
"""What the ratelimit headers claim while no limit is set; the real API always sends them."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether one request may pass, and the numbers for the answer's ``x-ratelimit-*`` headers."""

    limit: int
    remaining: int
    reset_seconds: float
    retry_after_seconds: float | None

    def headers(self) -> dict[str, str]:
        """Header names and spelling as the API documents them in its rate limit guide."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{round(self.reset_seconds * 1000)}ms",
        }


class RequestRateLimit:
    """At most ``requests_per_minute`` requests in any 60 s; ``None`` lets all pass.

    As with the real API, refused requests count too: hammering does not help.
    """

    def __init__(self, requests_per_minute: int | None) -> None:
        self.requests_per_minute = requests_per_minute
        self._arrivals: deque[float] = deque(maxlen=requests_per_minute or 0)

    def admit(self, now_seconds: float) -> Admission:
        """Counts one request that arrived at ``now_seconds`` (any steady clock)."""
        limit = self.requests_per_minute
        if limit is None:
            return Admission(UNLIMITED_HEADER_VALUE, UNLIMITED_HEADER_VALUE - 1, 0.0, None)
        while self._arrivals and self._arrivals[0] <= now_seconds - WINDOW_SECONDS:
            self._arrivals.popleft()
        full = len(self._arrivals) == limit
        self._arrivals.append(now_seconds)
        until_free_seconds = self._arrivals[0] + WINDOW_SECONDS - now_seconds
        return Admission(
            limit=limit,
            remaining=limit - len(self._arrivals),
            reset_seconds=self._arrivals[-1] + WINDOW_SECONDS - now_seconds,
            retry_after_seconds=until_free_seconds if full else None,
        )
