"""[pure] Figures and the arithmetic behind them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

SECONDS_PER_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    ``reference`` was measured in the same run, or is the fixed limit that the figure is held against; ``aim`` is
    empty where a figure only informs, and then ``met`` is ``None``.
    """

    name: str
    measured: str
    reference: str
    aim: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """What the table says about the aim."""
        return {True: "met", False: "MISSED", None: ""}[self.met]


@dataclass(frozen=True, slots=True)
class Section:
    """What one measurement found. ``conditions`` says what was done, for whoever reads the figures later."""

    title: str
    conditions: str
    figures: tuple[Figure, ...]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of all values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(0, rank - 1)]


def greatest_in_window(instants_seconds: Sequence[float], window_seconds: float = SECONDS_PER_MINUTE) -> int:
    """The greatest number of instants in any half-open window of this length, wherever it starts."""
    instants = sorted(instants_seconds)
    greatest = first = 0
    for last, instant in enumerate(instants):
        while instants[first] <= instant - window_seconds:
            first += 1
        greatest = max(greatest, last - first + 1)
    return greatest


def shortest_span_seconds(instants_seconds: Sequence[float], count: int) -> float:
    """The shortest time from the first to the last of ``count`` neighbouring instants; infinity with fewer."""
    instants = sorted(instants_seconds)
    return min((last - first for first, last in zip(instants, instants[count - 1 :], strict=False)), default=math.inf)


def per_minute(instants: Sequence[datetime]) -> float:
    """The rate between the first and the last of the instants; 0 with fewer than two."""
    if len(instants) < 2:  # noqa: PLR2004 - a rate needs two ends
        return 0.0
    seconds = (max(instants) - min(instants)).total_seconds()
    return (len(instants) - 1) / seconds * SECONDS_PER_MINUTE if seconds else math.inf


def longest_pause_seconds(instants: Sequence[datetime]) -> float:
    """The longest time between two neighbouring instants; 0 with fewer than two."""
    return (
        max((later - earlier).total_seconds() for earlier, later in pairwise(sorted(instants))) if instants[1:] else 0.0
    )


def mebibytes(size_bytes: float) -> str:
    """A size for people."""
    return f"{size_bytes / 2**20:.0f} MiB"


def milliseconds(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds * 1_000:.1f} ms"
