"""Made-up series for promtool: a course over time, written down at whatever interval a test scrapes."""

from collections.abc import Callable
from typing import Final, Literal

Sample = float | Literal["stale"] | None
"""A value; the end of a target, as Prometheus marks it; or a scrape that brought nothing."""

Track = Callable[[float], Sample]
"""The value at a time, in seconds since the beginning."""


def flat(value: float) -> Track:
    """Always the same."""
    return lambda _seconds: value


def steps(*changes: tuple[float, Sample]) -> Track:
    """From each moment on that value; nothing before the first."""

    def at(seconds: float) -> Sample:
        value: Sample = None
        for since, changed in changes:
            if seconds >= since:
                value = changed
        return value

    return at


def growing(per_minute: float, *, since: float = 0, until: float = 1e9, start: float = 0) -> Track:
    """A counter that goes up evenly between two moments, and stands still before and after."""
    return lambda seconds: start + per_minute * (min(max(seconds, since), until) - since) / 60


def stopped(track: Track, at: float) -> Track:
    """The same until its target goes away."""
    return lambda seconds: track(seconds) if seconds < at else "stale"


def born(track: Track, at: float) -> Track:
    """The same, of a target that was not there before."""
    return lambda seconds: track(seconds) if seconds >= at else None


def notation(track: Track, *, interval: int, until: int) -> str:
    """The series in promtool's words, sampled every ``interval`` seconds."""
    words = []
    ended = False
    for seconds in range(0, until + interval, interval):
        sample = track(seconds)
        if sample == "stale":
            words.append("_" if ended else "stale")
            ended = True
        else:
            words.append(_NOTHING if sample is None else f"{sample:g}" if sample % 1 else f"{int(sample)}")
    return " ".join(words)


_NOTHING: Final = "_"
