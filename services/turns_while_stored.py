"""A turn at the provider, given only while Storage takes pictures."""

import time
from collections.abc import Callable
from dataclasses import replace

from services.provider_breaker import ProviderBreaker
from services.provider_turn import Turn, TurnGate, TurnOutcome
from services.rate_gate import RateGate
from services.storage_gate import StorageGate


class TurnsWhileStored(TurnGate):
    """Hands out turns. One object per process, shared by all its threads."""

    def __init__(self, gate: RateGate, breaker: ProviderBreaker, storage: StorageGate) -> None:
        super().__init__(gate, breaker)
        self._storage = storage

    def acquire(self, cancelled: Callable[[], bool]) -> Turn:
        """Blocks the calling thread until it may send one request; send it at once, then ``report``.

        Raises:
            TurnCancelled: ``cancelled()`` became true while waiting.
        """
        started = time.monotonic()
        while True:
            granted = self._storage.wait_until_open(cancelled)
            turn = super().acquire(cancelled)
            if self._storage.is_good(granted):  # it may have closed while we waited at the rate gate
                return replace(turn, waited_seconds=time.monotonic() - started)
            self.report(turn, TurnOutcome.UNKNOWN)
