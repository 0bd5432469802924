"""When the watch over the credits asks, what it shows, and that a failure hurts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from structlog.testing import capture_logs

from models.failures import PlatformUnavailable
from models.generation import Channel
from services.platform.report_answers import LedgerFault
from tests.support.clock import SteppedClock
from worker.supervision.ledger_watch import (
    AUDIT_SECONDS,
    CONFIRM_SECONDS,
    FIRST_AUDIT_SECONDS,
    LOOK_BACK,
    LOOK_SECONDS,
    LedgerWatch,
)

START = datetime(2026, 12, 1, tzinfo=UTC)

FAULT = LedgerFault(
    rule="lost",
    channel=Channel.B2C,
    owner_id=UUID(int=1),
    shopper_email=None,
    session_id=UUID(int=2),
    proof="session",
    fault="failed, 1 deducted, nothing given back",
)

Answer = Sequence[LedgerFault] | Exception


@dataclass
class Ledger:
    """A watch in a time that passes by hand, over a database that answers as it is told."""

    answers: list[Answer]
    clock: SteppedClock = field(default_factory=SteppedClock)
    asked_since: list[tuple[float, datetime]] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = LedgerWatch(
            self._ask,
            lambda faults, _at: self.shown.append(faults),
            monotonic=self.clock,
            now=lambda: START + timedelta(seconds=self.clock()),
        )

    def _ask(self, since: datetime) -> Sequence[LedgerFault]:
        self.asked_since.append((self.clock(), since))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self, seconds: float) -> list[str]:
        """Let the rounds come for so long; the lines that were logged."""
        events = []
        for _ in range(int(seconds / LOOK_SECONDS) + 1):
            with capture_logs() as logs:
                self.watch.round()
            events += [line["event"] for line in logs]
            self.clock.advance(LOOK_SECONDS)
        return events


def test_it_asks_soon_after_the_start_and_then_every_hour_about_a_week() -> None:
    ledger = Ledger([[], [], []])
    assert ledger.run(2 * AUDIT_SECONDS + FIRST_AUDIT_SECONDS) == []
    at = [FIRST_AUDIT_SECONDS + hour * AUDIT_SECONDS for hour in range(3)]
    assert ledger.asked_since == [(each, START + timedelta(seconds=each) - LOOK_BACK) for each in at]
    assert ledger.shown == [0, 0, 0]


def test_a_worker_that_dies_at_its_start_asks_nothing() -> None:
    ledger = Ledger([])
    ledger.run(FIRST_AUDIT_SECONDS - LOOK_SECONDS)
    assert ledger.asked_since == []


def test_a_fault_counts_when_it_is_found_again_a_minute_later_though_its_words_have_changed() -> None:
    ledger = Ledger([[FAULT], [replace(FAULT, fault="failed, 2 deducted, nothing given back")]])
    assert ledger.run(FIRST_AUDIT_SECONDS + CONFIRM_SECONDS) == ["ledger_faults_found"]
    assert ledger.shown == [1]


def test_a_charge_that_was_just_being_made_is_no_fault() -> None:
    later = replace(FAULT, session_id=UUID(int=3))
    ledger = Ledger([[FAULT], [later]])
    assert ledger.run(FIRST_AUDIT_SECONDS + CONFIRM_SECONDS) == []
    assert ledger.shown == [0]


def test_an_audit_that_fails_shows_nothing_says_why_and_is_tried_again_an_hour_later() -> None:
    ledger = Ledger([PlatformUnavailable("wearon_worker_audit", "57014", "canceling statement"), ValueError("bug"), []])
    assert ledger.run(2 * AUDIT_SECONDS + FIRST_AUDIT_SECONDS) == ["ledger_audit_failed", "ledger_audit_broke"]
    assert ledger.shown == [0]
