"""[pure] How long the simulated model takes. The random numbers are handed in."""

import random
import re
from dataclasses import dataclass
from typing import Final

_SPELLING: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:-([0-9]+(?:\.[0-9]+)?))?")


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a request's arrival to its answer, uniform between the two bounds."""

    low_seconds: float = 0.0
    high_seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Latency":
        """``"30"`` or ``"20-60"``; raises ``ValueError`` for anything else."""
        match = _SPELLING.fullmatch(text)
        if match is None:
            raise ValueError(f"a latency is written SECONDS or LOW-HIGH, not '{text}'")
        low = float(match[1])
        high = low if match[2] is None else float(match[2])
        if high < low:
            raise ValueError(f"the latency '{text}' ends before it starts")
        return cls(low, high)

    def sample(self, randomness: random.Random) -> float:
        """One latency in seconds."""
        return randomness.uniform(self.low_seconds, self.high_seconds)

    def __str__(self) -> str:
        low, high = f"{self.low_seconds:g}", f"{self.high_seconds:g}"
        return low if low == high else f"{low}-{high}"
