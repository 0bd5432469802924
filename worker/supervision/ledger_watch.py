"""Asks the database every hour whether the credits are right (NFR-2.4), and shows how many faults it found (ADR 0048).

It has a thread and a connection of its own: no task waits for it. An audit that fails is one log line; the last number
stays for two hours, and then it is absent from the metrics until an audit succeeds.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from config.settings import Settings
from models.failures import PlatformFailure
from services.platform.report_answers import LedgerFault
from services.platform.reports import AUDIT_TIMEOUT, PlatformReports
from services.platform.supabase_client import SupabaseClient
from worker.metrics import Metrics
from worker.supervision.rounds import Rounds

log = structlog.get_logger()

LOOK_SECONDS: Final = 5.0
"""Between two looks whether an audit is due."""

FIRST_AUDIT_SECONDS: Final = 10.0
"""After the start. A worker that dies at its start, again and again, asks nothing."""

AUDIT_SECONDS: Final = 3_600.0
"""Between two audits. Each reads both ledgers whole, and every worker asks: seconds of the database's time an hour."""

CONFIRM_SECONDS: Final = 60.0
"""A charge whose session is just being inserted looks like a fault, so what was found is looked for once more."""

ADVICE: Final = "`wearon audit` names the sessions and accounts"

LOOK_BACK: Final = timedelta(days=7)
"""How old the sessions are that are looked at, as in ``wearon audit``."""


class LedgerWatch:
    """``round`` is one look whether an audit is due, and the audit.

    Args:
        ask: gives every fault since a moment; raises ``PlatformFailure``.
        show: told how many faults lasted, and when that was.
        monotonic, now: clocks; replaced in tests.
    """

    def __init__(
        self,
        ask: Callable[[datetime], Sequence[LedgerFault]],
        show: Callable[[int, datetime], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ask = ask
        self._show = show
        self._monotonic = monotonic
        self._now = now
        self._due_at = monotonic() + FIRST_AUDIT_SECONDS
        self._suspects: frozenset[object] | None = None

    def round(self) -> None:
        """Audit if it is due. Raises nothing."""
        if self._monotonic() < self._due_at:
            return
        self._due_at = self._monotonic() + AUDIT_SECONDS
        try:
            self._audit()
        except PlatformFailure as failure:
            log.warning("ledger_audit_failed", reason=failure.reason, detail=failure.detail)
        except Exception:  # a bug; the thread goes on, because its end would end the worker
            log.exception("ledger_audit_broke")

    def _audit(self) -> None:
        faults = {_subject_of(fault): fault for fault in self._ask(self._now() - LOOK_BACK)}
        suspects, self._suspects = self._suspects, None
        if faults and suspects is None:
            self._suspects = frozenset(faults)
            self._due_at = self._monotonic() + CONFIRM_SECONDS
            return
        lasting = [fault for subject, fault in faults.items() if subject in (suspects or ())]
        self._show(len(lasting), self._now())
        if lasting:
            log.error(
                "ledger_faults_found",
                count=len(lasting),
                rules=sorted({fault.rule for fault in lasting}),
                advice=ADVICE,
            )


def _subject_of(fault: LedgerFault) -> object:
    """What stays the same of a fault while the numbers in its words change."""
    return fault.rule, fault.channel, fault.owner_id, fault.shopper_email, fault.session_id


def ledger_watch(settings: Settings, metrics: Metrics) -> Rounds:
    """The watch over the credits, ready to be started."""
    reports = PlatformReports(
        SupabaseClient(
            settings.supabase_url, settings.supabase_service_role_key.get_secret_value(), timeout=AUDIT_TIMEOUT
        )
    )
    watch = LedgerWatch(reports.ledger_faults, metrics.worker.show_ledger)
    return Rounds("ledger-watch", LOOK_SECONDS, watch.round, expected=())
