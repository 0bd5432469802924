"""A clock that moves only when told to."""


class SteppedClock:
    """Stands for ``time.monotonic``."""

    def __init__(self, started_at: float = 0.0) -> None:
        self._now = started_at

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
