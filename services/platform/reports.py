"""What an operator asks the database: functions that only read, each with its time limit (``supabase/migrations/``)."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import httpx

from services.platform import report_answers
from services.platform.report_answers import Activity, DayCost, LedgerFault, Story
from services.platform.supabase_client import SupabaseClient

REPORT_TIMEOUT: Final = httpx.Timeout(8.0, connect=4.0)
"""Seconds. The functions end themselves after 5."""

AUDIT_TIMEOUT: Final = httpx.Timeout(60.0, connect=4.0)
"""Seconds. The audit reads both ledgers whole; hosted Supabase ends it after 8 unless the role was given more."""


class Report(StrEnum):
    """The functions."""

    ACTIVITY = "wearon_worker_activity"
    STORY = "wearon_worker_story"
    COSTS = "wearon_worker_costs"
    AUDIT = "wearon_worker_audit"


MIGRATIONS: Final = {
    Report.ACTIVITY: "20261129000000_wearon_worker_operations.sql",
    Report.STORY: "20261129000000_wearon_worker_operations.sql",
    Report.COSTS: "20261129000000_wearon_worker_operations.sql",
    Report.AUDIT: "20261128000000_wearon_worker_ledger.sql",
}
"""Which file in ``supabase/migrations/`` brings each."""


class PlatformReports:
    """Asks over a connection of its own. Every method raises ``PlatformFailure`` when there is no answer."""

    def __init__(self, client: SupabaseClient) -> None:
        self._client = client

    def activity(self, since: datetime) -> Activity:
        """Who is alive, what is open, and what was settled since then."""
        return report_answers.activity(Report.ACTIVITY, self._client.report(Report.ACTIVITY, _since(since)))

    def story(self, session_id: UUID) -> Story:
        """Everything about one session."""
        answer = self._client.report(Report.STORY, {"p_session_id": str(session_id)})
        return report_answers.story(Report.STORY, answer)

    def costs(self, since: datetime) -> list[DayCost]:
        """What the pictures completed since then cost, by day and channel."""
        return report_answers.costs(Report.COSTS, self._client.report(Report.COSTS, _since(since)))

    def ledger_faults(self, since: datetime) -> list[LedgerFault]:
        """Every session made since then, and every account, whose credits do not add up (NFR-2.4)."""
        return report_answers.ledger_faults(Report.AUDIT, self._client.report(Report.AUDIT, _since(since)))


def _since(since: datetime) -> dict[str, str]:
    return {"p_since": since.isoformat()}
