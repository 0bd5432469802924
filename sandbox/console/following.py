"""Follows sessions from the push to their end, as a person would who keeps reloading the page."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from models.generation import SessionRef, SessionStatus
from sandbox.console.progress import Console, Style
from sandbox.platform.state import TERMINAL, PlatformDatabase, SessionRow

LOOK_SECONDS: Final = 0.1
"""Between two looks at the sessions; shorter than any state that a person could notice."""

LABEL_WIDTH: Final = 12


@dataclass(frozen=True, slots=True)
class Journey:
    """One session and the states it was seen in, each with the seconds since the push."""

    label: str
    session: SessionRef
    pushed_at: float
    """``time.monotonic()`` of the push."""
    states: tuple[tuple[SessionStatus, float], ...] = ()

    @property
    def status(self) -> SessionStatus | None:
        """The latest state seen."""
        return self.states[-1][0] if self.states else None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TERMINAL

    def seen(self, status: SessionStatus, now: float) -> "Journey":
        """The journey after one more look; the same one if nothing changed."""
        if status is self.status:
            return self
        return replace(self, states=(*self.states, (status, now - self.pushed_at)))

    def story(self) -> str:
        """For example ``queued 0.0 s > processing 0.3 s > completed 4.6 s``."""
        return " > ".join(f"{status} {seconds:.1f} s" for status, seconds in self.states)

    def current_line(self, now: float) -> str:
        """One line for the present moment."""
        if self.is_over:
            return f"  {self.label:<{LABEL_WIDTH}} {self.story()}"
        waiting = f"{self.status or 'pushed'} ... {now - self.pushed_at:.1f} s"
        past = " > ".join(f"{status} {seconds:.1f} s" for status, seconds in self.states[:-1])
        return f"  {self.label:<{LABEL_WIDTH}} {f'{past} > ' if past else ''}{waiting}"


class NotFinished(Exception):
    """A session is still open when its time is up."""

    def __init__(self, journey: Journey, limit_seconds: float) -> None:
        super().__init__(f"{journey.label}: still {journey.status} after {limit_seconds:.0f} s")
        self.journey = journey
        self.limit_seconds = limit_seconds


def follow(
    platform: PlatformDatabase,
    journeys: Sequence[Journey],
    console: Console,
    *,
    limit_seconds: float,
    check: Callable[[], None] = lambda: None,
) -> list[tuple[Journey, SessionRow]]:
    """Show every change until all sessions are over; returns the journeys with the final rows, in the same order.

    ``check`` is called at every look and may raise to give up early. Raises ``NotFinished`` when the time is up.
    """
    current = list(journeys)
    deadline = time.monotonic() + limit_seconds
    with console.showing(lambda: [journey.current_line(time.monotonic()) for journey in current]):
        while True:
            check()
            rows = [platform.session(journey.session) for journey in current]
            _look(current, rows, console)
            if all(journey.is_over for journey in current):
                break
            if time.monotonic() > deadline:
                raise NotFinished(next(journey for journey in current if not journey.is_over), limit_seconds)
            time.sleep(LOOK_SECONDS)
    if console.is_live:
        for journey in current:
            console.line(journey.current_line(time.monotonic()), _style(journey))
    return list(zip(current, rows, strict=True))


def _look(current: list[Journey], rows: Sequence[SessionRow], console: Console) -> None:
    """Take the new states over; without a live block each change becomes a line."""
    for number, row in enumerate(rows):
        before = current[number]
        after = before.seen(row.status, time.monotonic())
        current[number] = after
        if after is not before and not console.is_live:
            status, seconds = after.states[-1]
            console.line(f"  {after.label:<{LABEL_WIDTH}} {status:<12} {seconds:5.1f} s")


def _style(journey: Journey) -> Style:
    return Style.GOOD if journey.status is SessionStatus.COMPLETED else Style.WARNING
