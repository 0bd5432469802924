"""Checks what the worker needs before it starts, and waits inside while some of it is away (docs/adr/0025)."""

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
"""Between two rounds of checks: the worker is there within seconds of what it waited for."""

LINE_SECONDS: Final = 30.0
"""Between two lines that say what is missing."""

PATIENCE_SECONDS: Final = 600.0
"""Then the process ends. Until here the container's own back-off would have cost more time than it saves."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is needed; ``look`` raises ``StartupAway`` or ``StartupError``."""

    component: Component
    look: Callable[[], None]


class StartChecks:
    """A thread that checks everything round after round until nothing is away.

    Args:
        checks: in the order in which faults are told.
        board: told what answers.
        opening: told when something is away.
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
        """Whether all is there, or nothing more is to be hoped for."""
        return not self._thread.is_alive()

    def raise_error(self) -> None:
        """After the end: say how it went.

        Raises:
            StartupError: something is wrong, or was away for too long.
        """
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self.wait_for_everything()
        except Exception as error:
            self._error = error

    def wait_for_everything(self) -> None:
        """Check until nothing is away.

        Raises:
            StartupError: something is wrong, which waiting does not mend.
            StartupAway: something is away for longer than anybody should wait.
        """
        began_at = self._now()
        said_at: float | None = None
        # A check that hangs is something away, too.
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
        """Look at everything, so that what is wrong is told even while something else is away."""
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
