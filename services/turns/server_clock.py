"""What another machine's clock says, told on ours: the clock filter of NTP (RFC 5905, section 10) [pure]."""

from collections import deque
from typing import Final, NamedTuple

SAMPLES: Final = 8
"""As many as NTP's filter keeps."""

SAMPLE_SECONDS: Final = 20.0
"""How long a sample is good for. Clocks are corrected by at most 0.5 ms a second, which makes 10 ms of it."""


class _Sample(NamedTuple):
    delay_seconds: float
    offset_seconds: float
    taken_at: float


class ServerClock:
    """Turns a server's times into ours. Of the last few questions the one that was answered soonest is believed: an
    answer that was long on its way, or lay unread while other threads ran, tells little. Not safe to share between
    threads."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)

    def observe(self, server_seconds: float, *, asked_at: float, answered_at: float) -> None:
        """Notes that the server's clock showed ``server_seconds`` between two instants of ours."""
        delay_seconds = answered_at - asked_at
        offset_seconds = server_seconds - (asked_at + answered_at) / 2
        best = self._best()
        if best is not None and abs(offset_seconds - best.offset_seconds) > (delay_seconds + best.delay_seconds) / 2:
            self._samples.clear()  # both cannot be true: somebody set the server's clock
        while self._samples and answered_at - self._samples[0].taken_at > SAMPLE_SECONDS:
            self._samples.popleft()
        self._samples.append(_Sample(delay_seconds, offset_seconds, answered_at))

    def ours(self, server_seconds: float) -> float:
        """The instant of our clock at which the server's shows ``server_seconds``.

        Raises:
            ValueError: nothing was observed yet.
        """
        best = self._best()
        if best is None:
            raise ValueError("the server's clock was never observed")
        return server_seconds - best.offset_seconds

    def _best(self) -> _Sample | None:
        return min(self._samples, default=None)
