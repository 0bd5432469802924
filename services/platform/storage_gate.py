"""A circuit breaker for Storage, asked before a picture is bought from the provider.

A picture that Storage refuses, or does not take for longer than a short interruption, was paid for in vain. So the
first such failure closes the gate, and no new call to the provider begins in this process (ADR 0021):

open ──refused()──► closed ──our own small picture is taken──► trying ──stored()──► open
                      ▲                                           │
                      └──────────────────refused()────────────────┘

While it is trying, one caller in each ``pause_seconds`` is let through, because Storage may take the small picture and
still refuse a large one. Finished pictures are offered to Storage repeatedly by their tasks; the first success opens
the gate.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog

from models.failures import NoLongerWanted, PlatformFailure
from services.shutdown import sleep_unless

log = structlog.get_logger()

LOOK_SECONDS: Final = 15.0
"""Between two checks whether a picture is still wanted. Nobody else settles a session in less than ten minutes."""

POLL_SECONDS: Final = 0.5
"""Between two checks of a waiting caller."""


class _State(Enum):
    OPEN = "open"
    CLOSED = "closed"
    TRYING = "trying"


@dataclass(frozen=True, slots=True)
class Pass:
    """The right to buy one picture; ``on_trial`` when this picture tests whether Storage takes pictures again."""

    on_trial: bool


class StorageGate:
    """One object per process, shared by all its threads.

    Args:
        probe: offers Storage a small test picture; raises ``PlatformFailure`` when it is not taken.
        tell: called with the reason when Storage refuses pictures, and with an empty reason when it takes one again.
        pause_seconds: between two probes, and between two callers while trying.
        look_seconds: between two looks whether a picture is still wanted.
    """

    def __init__(
        self,
        probe: Callable[[], None],
        tell: Callable[[str], None],
        *,
        pause_seconds: float,
        look_seconds: float = LOOK_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._tell = tell
        self._pause_seconds = pause_seconds
        self._look_seconds = look_seconds
        self._now = now
        self._lock = threading.Lock()
        self._state = _State.OPEN
        self._next_trial_at = 0.0
        self._prober: threading.Thread | None = None

    def wait_until_open(self, cancelled: Callable[[], bool], still_wanted: Callable[[], bool] = lambda: True) -> Pass:
        """Blocks the calling thread until it may buy a picture.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
            NoLongerWanted: ``still_wanted()`` was false; it is asked every ``LOOK_SECONDS`` and may block.
        """
        looked_at = self._now()
        while (granted := self._ask()) is None:
            if self._now() - looked_at >= self._look_seconds:
                if not still_wanted():
                    raise NoLongerWanted
                looked_at = self._now()
            sleep_unless(cancelled, POLL_SECONDS)
        return granted

    def is_good(self, granted: Pass) -> bool:
        """Whether a pass is still valid; it may have been granted before the gate closed."""
        with self._lock:
            return self._state is _State.OPEN or (granted.on_trial and self._state is _State.TRYING)

    def refused(self, failure: PlatformFailure) -> None:
        """Storage did not take a picture, and the failure is not a short one: close the gate."""
        with self._lock:
            if self._state is _State.CLOSED:
                return
            self._state = _State.CLOSED
            if self._prober is None:
                self._prober = threading.Thread(target=self._probe_until_taken, name="storage-probe", daemon=True)
                self._prober.start()
            log.error(
                "storage_refuses_pictures",
                operation=failure.operation,
                reason=failure.reason,
                detail=failure.detail,
                next_try_in=self._pause_seconds,
            )
            self._tell(str(failure))

    def stored(self) -> None:
        """Storage took a finished picture: open the gate."""
        with self._lock:
            if self._state is _State.OPEN:
                return
            self._state = _State.OPEN
            log.info("storage_takes_pictures")
            self._tell("")

    def _ask(self) -> Pass | None:
        with self._lock:
            if self._state is _State.OPEN:
                return Pass(on_trial=False)
            if self._state is _State.TRYING and self._now() >= self._next_trial_at:
                self._next_trial_at = self._now() + self._pause_seconds
                return Pass(on_trial=True)
            return None

    def _probe_until_taken(self) -> None:
        while self._is_to_be_probed():
            try:
                self._probe()
            except PlatformFailure as failure:
                log.warning("storage_still_refuses", reason=failure.reason, detail=failure.detail)
            else:
                self._try_again()

    def _is_to_be_probed(self) -> bool:
        time.sleep(self._pause_seconds)
        with self._lock:
            if self._state is _State.CLOSED:
                return True
            self._prober = None
            return False

    def _try_again(self) -> None:
        with self._lock:
            if self._state is not _State.CLOSED:
                return
            self._state = _State.TRYING
            self._next_trial_at = self._now()
            log.info("storage_took_a_probe")
            self._tell("")
