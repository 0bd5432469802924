"""[pure] The stages a task passes, and how long it was in each."""

from enum import StrEnum


class Stage(StrEnum):
    """One stage after the other: their times add up to the whole, but for what settling a failure takes."""

    QUEUE = "queue"
    """From the platform's request to the claim of the run that ends the task."""
    DOWNLOAD = "download"
    """Until the last input picture has come, waiting for memory included."""
    PREPARE = "prepare"
    """From there until all of them are prepared; the first ones are prepared while others still come."""
    TURN = "turn"
    """Waiting for the right to ask the provider, over all attempts."""
    PROVIDER = "provider"
    """From a turn's moment to the verdict, over all attempts."""
    STORE = "store"
    """From the picture in hand to the completed session."""


class StageTimes:
    """Seconds of one run in each stage that it came to; what is entered again adds up. For one thread at a time."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}

    def add(self, stage: Stage, seconds: float) -> None:
        """So long it was in the stage; clocks of two hosts that differ never make it less than nothing."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + max(0.0, seconds)

    @property
    def seconds(self) -> dict[Stage, float]:
        """What was entered so far; a copy."""
        return dict(self._seconds)
