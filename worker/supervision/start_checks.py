"""Checks what the worker needs before it starts, and waits while some of it is unreachable (docs/adr/0025)."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from models.health import Component
from worker.health import HealthBoard
from worker.supervision.opening import Opening
from worker.supervision.startup import StartupAway

log = structlog.get_logger()

RETRY_SECONDS: Final = 2.0
"""Between two rounds of checks: the worker starts within seconds of the last part it waited for."""

LINE_SECONDS: Final = 30.0
"""Between two lines that say what is missing."""

PATIENCE_SECONDS: Final = 600.0
"""How long to wait; then the process ends. Until then, restarts by the container with its back-off would be slower."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is needed; ``look`` raises ``StartupAway`` or ``StartupError``."""

    component: Component
    look: Callable[[], None]


class StartChecks:
    """A thread that repeats all checks until nothing is unreachable.

    Args:
        checks: in the order in which faults are reported.
        board: told which parts answer.
        opening: told when something is unreachable.
        now, pause: replaced in tests.
    """

    name = "start-checks"

    def __init__(
        self,
        checks: Sequence[Check],
        board: HealthBoard,
        opening: Opening,
        *,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._checks = checks
        self._board = board
        self._opening = opening
        self._now = now
        self._pause = pause
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin the first round."""
        self._thread.start()

    def are_over(self) -> bool:
        """Whether the checks have ended, successfully or not."""
        return not self._thread.is_alive()

    def raise_error(self) -> None:
        """Called after the end; raises the error of the checks, if there was one.

        Raises:
            StartupError: something is wrong, or was unreachable for too long.
        """
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self.wait_for_everything()
        except Exception as error:
            self._error = error

    def wait_for_everything(self) -> None:
        """Repeat the checks until nothing is unreachable.

        Raises:
            StartupError: something is wrong that waiting does not change.
            StartupAway: something was unreachable for ``PATIENCE_SECONDS``.
        """
        began_at = self._now()
        said_at: float | None = None
        # Before the first round: a check that hangs counts as unreachable, too.
        self._opening.something_is_away()
        while away := self._round():
            waited_seconds = self._now() - began_at
            if waited_seconds >= PATIENCE_SECONDS:
                raise next(iter(away.values()))
            if said_at is None or self._now() - said_at >= LINE_SECONDS:
                self._say(away, waited_seconds, again=said_at is not None)
                said_at = self._now()
            self._pause(RETRY_SECONDS)
        self._opening.nothing_is_away()
        if said_at is not None:
            log.info("everything_is_there", waited_seconds=round(self._now() - began_at))

    def _round(self) -> dict[Component, StartupAway]:
        """Make all checks, so that a fault is reported even while something else is unreachable."""
        away: dict[Component, StartupAway] = {}
        for check in self._checks:
            try:
                check.look()
            except StartupAway as error:
                away[check.component] = error
        for check in self._checks:
            why = away.get(check.component)
            self._board.part(check.component, up=why is None, reason=str(why or ""))
        return away

    @staticmethod
    def _say(away: dict[Component, StartupAway], waited_seconds: float, *, again: bool) -> None:
        write = log.error if again else log.warning
        write(
            "start_waits",
            missing=[component.value for component in away],
            words=[str(error) for error in away.values()],
            waited_seconds=round(waited_seconds),
            gives_up_after_seconds=PATIENCE_SECONDS,
        )
