"""[pure] What another machine's clock says, told on ours within bounds: the intersection of what each answer proves.

K. Marzullo and S. Owicki, "Maintaining the time in a distributed system" (1983); NTP selects its servers so.
"""

from collections import deque
from typing import Final, NamedTuple

SAMPLES: Final = 8
"""As many as NTP's clock filter keeps (RFC 5905, section 10)."""

SAMPLE_SECONDS: Final = 20.0
"""How long a sample is good for. Clocks are corrected by at most 0.5 ms a second, which makes 10 ms of it."""


class _Sample(NamedTuple):
    """What one answer proves: by how much the server's clock is ahead of ours, at least and at most."""

    least_seconds: float
    most_seconds: float
    taken_at: float


class ServerClock:
    """Turns a server's times into ours. An answer that was long on its way, or lay unread while other threads ran,
    proves little, but never anything wrong. Not safe to share between threads."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)

    def observe(self, server_seconds: float, *, asked_at: float, answered_at: float) -> None:
        """Notes that the server's clock showed ``server_seconds`` between two instants of ours."""
        while self._samples and answered_at - self._samples[0].taken_at > SAMPLE_SECONDS:
            self._samples.popleft()
        self._samples.append(_Sample(server_seconds - answered_at, server_seconds - asked_at, answered_at))
        least_seconds, most_seconds = self._ahead()
        if least_seconds > most_seconds:  # not all can be true: somebody set the server's clock
            newest = self._samples.pop()
            self._samples.clear()
            self._samples.append(newest)

    def ours(self, server_seconds: float) -> tuple[float, float]:
        """The earliest and the latest instant of our clock at which the server's may show ``server_seconds``.

        Raises:
            ValueError: nothing was observed yet.
        """
        if not self._samples:
            raise ValueError("the server's clock was never observed")
        least_seconds, most_seconds = self._ahead()
        return server_seconds - most_seconds, server_seconds - least_seconds

    def _ahead(self) -> tuple[float, float]:
        least_seconds = max(sample.least_seconds for sample in self._samples)
        return least_seconds, min(sample.most_seconds for sample in self._samples)
