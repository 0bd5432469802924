"""May we call the provider now? The rate gate and the breaker behind one question, asked before every attempt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from services.turns.breaker import Probe, ProviderBreaker
from services.turns.window import RateGate


class TurnOutcome(Enum):
    """What an attempt says about the account behind it."""

    ANSWERED = "answered"
    """The provider dealt with the request, whatever it thought of it."""
    BLOCKED = "blocked"
    """It refuses everything until a person acts."""
    UNKNOWN = "unknown"
    """No answer, or one that says nothing (5xx)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to send one request, now.

    ``granted_at`` is on ``time.monotonic``'s clock; only the one call that tests whether a pause is over has a
    ``probe``; ``input_images`` is how many pictures it may carry.
    """

    waited_seconds: float
    granted_at: float
    probe: Probe | None
    input_images: int = 1


class TurnGate:
    """Hands out turns. One object per process, shared by all its threads."""

    def __init__(self, gate: RateGate, breaker: ProviderBreaker) -> None:
        self._gate = gate
        self._breaker = breaker

    def acquire(self, cancelled: Callable[[], bool], *, input_images: int = 1) -> Turn:
        """Blocks the calling thread until it may send one request with so many pictures; send it at once, then
        ``report``.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
        """
        started = time.monotonic()
        while True:
            probe = self._breaker.wait_until_closed(cancelled)
            try:
                self._gate.acquire(cancelled, input_images=input_images)
            except BaseException:
                if probe is not None:
                    self._breaker.release_probe(probe)
                raise
            if probe is not None or self._breaker.is_closed():  # it may have opened while we waited at the gate
                now = time.monotonic()
                return Turn(waited_seconds=now - started, granted_at=now, probe=probe, input_images=input_images)

    def renew(self, turn: Turn, cancelled: Callable[[], bool]) -> Turn:
        """Another turn of the rate gate in place of one that was not used in time; the old one stays counted.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
        """
        waited = self._gate.acquire(cancelled, input_images=turn.input_images)
        return replace(turn, waited_seconds=turn.waited_seconds + waited, granted_at=time.monotonic())

    def report(self, turn: Turn, outcome: TurnOutcome, reason: str = "") -> None:
        """Tells what came of a turn; ``reason`` is the failure's kind. Never raises for Redis being away."""
        if outcome is TurnOutcome.BLOCKED:
            self._breaker.open(reason, turn.probe)
        elif turn.probe is not None and outcome is TurnOutcome.ANSWERED:
            self._breaker.succeeded(turn.probe)
        elif turn.probe is not None:
            self._breaker.release_probe(turn.probe)
