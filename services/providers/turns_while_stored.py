"""A turn at the provider, given only while Storage takes pictures."""

import time
from collections.abc import Callable
from dataclasses import replace

from services.platform.storage_gate import StorageGate
from services.turns.gate import Turn, TurnGate, TurnOutcome


def turn_while_stored(
    storage: StorageGate,
    turns: TurnGate,
    acquire: Callable[[], Turn],
    *,
    cancelled: Callable[[], bool],
    still_wanted: Callable[[], bool],
) -> Turn:
    """Blocks the calling thread until it may buy a picture; send the request at once, then report the turn.

    Args:
        storage: whether there is a place for the picture.
        turns: where the turn is reported that came too late.
        acquire: waits for a turn of ``turns``.
        cancelled: true once the process is shutting down.
        still_wanted: asked now and then while Storage takes none; it may block.

    Raises:
        ShuttingDown: ``cancelled()`` became true while waiting.
        NoLongerWanted: ``still_wanted()`` said no.
    """
    started = time.monotonic()
    while True:
        granted = storage.wait_until_open(cancelled, still_wanted)
        turn = acquire()
        if storage.is_good(granted):  # it may have closed while we waited at the rate gate
            return replace(turn, waited_seconds=time.monotonic() - started)
        turns.report(turn, TurnOutcome.UNKNOWN)
