"""May we call the provider now? The rate gate and the breaker behind one question, asked before every attempt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from services.turns.breaker import Probe, ProviderBreaker
from services.turns.window import RateGate, Slot


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
    """The right to send one request, from its slot's moment on.

    Only the one call that tests whether a pause is over has a ``probe``.
    """

    waited_seconds: float
    slot: Slot
    probe: Probe | None


class TurnGate:
    """Hands out turns. One object per process, shared by all its threads."""

    def __init__(self, gate: RateGate, breaker: ProviderBreaker) -> None:
        self._gate = gate
        self._breaker = breaker

    def acquire(self, cancelled: Callable[[], bool], *, input_images: int = 1) -> Turn:
        """Blocks the calling thread until the moment is near at which it may send one request with so many pictures.

        Make the connection, send at the moment, tell ``sent``, and in the end ``report``.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
        """
        started = time.monotonic()
        while True:
            probe = self._breaker.wait_until_closed(cancelled)
            try:
                slot = self._gate.acquire(cancelled, input_images=input_images)
            except BaseException:
                if probe is not None:
                    self._breaker.release_probe(probe)
                raise
            if probe is not None or self._breaker.is_closed():  # it may have opened while we waited at the gate
                ready_at = max(slot.opens_at, time.monotonic())
                return Turn(waited_seconds=ready_at - started, slot=slot, probe=probe)

    def renew(self, turn: Turn, cancelled: Callable[[], bool]) -> Turn:
        """Another turn of the rate gate in place of one that was not used in time; the old one stays counted.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
        """
        slot = self._gate.acquire(cancelled, input_images=turn.slot.input_images)
        return replace(turn, waited_seconds=turn.waited_seconds + slot.waited_seconds, slot=slot)

    def sent(self, turn: Turn) -> None:
        """Tells that the first bytes of a turn's request have just left. Never raises for Redis being away."""
        self._gate.sent(turn.slot)

    def report(self, turn: Turn, outcome: TurnOutcome, reason: str = "") -> None:
        """Tells what came of a turn; ``reason`` is the failure's kind. Never raises for Redis being away."""
        if outcome is TurnOutcome.BLOCKED:
            self._breaker.open(reason, turn.probe)
        elif turn.probe is not None and outcome is TurnOutcome.ANSWERED:
            self._breaker.succeeded(turn.probe)
        elif turn.probe is not None:
            self._breaker.release_probe(turn.probe)
