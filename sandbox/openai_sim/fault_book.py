"""Which faults hit a given request: the prompt's own markers first, then those switched on for all requests."""

import hashlib
import random
from dataclasses import dataclass

from sandbox.openai_sim.faults import Marker, RefuseModel, Special, parse_markers


@dataclass(slots=True)
class GlobalFault:
    """A fault for every request: with ``probability``, and for the next ``times`` hits (``None``: without end)."""

    marker: Marker
    probability: float = 1.0
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to one request: at most one fault, the latency where a marker sets it, and whether it is held."""

    fault: Marker | None = None
    latency_seconds: float | None = None
    held: bool = False

    def names(self) -> list[str]:
        """For the statistics: the names of what is applied."""
        applied = {"held": self.held, "latency": self.latency_seconds is not None}
        names = [name for name, is_applied in applied.items() if is_applied]
        return names if self.fault is None else [*names, self.fault.fault.name]


class FaultBook:
    """Remembers the global faults and which ``-once`` faults are spent. Not thread-safe: one event loop uses it."""

    def __init__(self, randomness: random.Random) -> None:
        self._randomness = randomness
        self._spent: set[tuple[str, bytes]] = set()
        self.global_faults: list[GlobalFault] = []

    def plan(self, prompt: str, model: str) -> Plan:
        """The plan for one request; uses up what hits only so often. Raises :class:`UnknownFault`."""
        latency_seconds: float | None = None
        fault: Marker | None = None
        held = False
        digest = hashlib.sha256(prompt.encode()).digest()
        for marker in [*parse_markers(prompt), *self._drawn_global_faults()]:
            if marker.fault.effect is Special.LATENCY:
                latency_seconds = marker.seconds if latency_seconds is None else latency_seconds
            elif marker.fault.effect is Special.HELD:
                held = True
            elif fault is None and _concerns(marker, model) and self._still_due(marker, digest):
                fault = marker
                self._count_down(marker)
        return Plan(fault, latency_seconds, held)

    def _drawn_global_faults(self) -> list[Marker]:
        """The global faults that may hit this request, chance decided."""
        return [
            entry.marker
            for entry in self.global_faults
            if entry.times != 0 and (entry.probability >= 1 or self._randomness.random() < entry.probability)
        ]

    def _still_due(self, marker: Marker, digest: bytes) -> bool:
        """Whether a ``-once`` fault has not hit this prompt yet; it is spent by asking."""
        if not marker.fault.once:
            return True
        key = (marker.fault.name, digest)
        due = key not in self._spent
        self._spent.add(key)
        return due

    def _count_down(self, marker: Marker) -> None:
        for entry in self.global_faults:
            if entry.marker is marker and entry.times is not None:
                entry.times -= 1


def _concerns(marker: Marker, model: str) -> bool:
    """A marker that names a model hits only that one."""
    return not isinstance(marker.fault.effect, RefuseModel) or marker.value in {None, model}
