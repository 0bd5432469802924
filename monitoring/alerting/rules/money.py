"""[pure] Are the credits right, and is the backup there?"""

from datetime import timedelta
from typing import Final

from monitoring.alerting.promql import added, hours_since
from monitoring.alerting.rule import TOLD_BY_WORKER_GONE, Fallback, Rule, Severity, Side, Unanswered

UNKNOWN_MEANS_UNCHANGED: Final = Fallback(
    Unanswered.KEEP_LAST, "The number is absent until a new worker's first audit: that proves nothing right or wrong."
)

UNPROVEN: Final = 'wearon_refund_total{job="worker",kind="unproven_charge"}'

REFUSED: Final = 'wearon_settlement_refused_total{job="worker"}'

RULES: Final = (
    Rule(
        uid="ledger-faults",
        title="The credits are wrong",
        question="Does the audit of the ledger find faults, twice?",
        group="money",
        expression='max(wearon_ledger_faults{job="worker"})',
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(minutes=65),
        severity=Severity.CRITICAL,
        component="credits",
        summary="Two audits in a row found credits that are neither paid for a picture nor given back.",
        description=(
            "{{ $values.A }} findings. The audit runs every hour; one finding that is gone at the next was a charge in"
            " the making. `wearon audit --since 7d` names the sessions and accounts."
        ),
        value_text="{{ $values.A }} findings",
        no_data=UNKNOWN_MEANS_UNCHANGED,
    ),
    Rule(
        uid="ledger-audit-silent",
        title="The ledger is not audited",
        question="Did an audit of the ledger succeed within three hours?",
        group="money",
        expression=hours_since('max(wearon_ledger_audit_last_success_timestamp_seconds{job="worker"})'),
        side=Side.ABOVE,
        threshold=3,
        hold=timedelta(hours=1, minutes=30),
        severity=Severity.WARNING,
        component="credits",
        summary="The hourly audit of the ledger has not succeeded for hours.",
        description=(
            "The last success is {{ $values.A }} hours old; no value means that none succeeded since the worker"
            " started. Wrong credits would not be noticed."
        ),
        value_text="{{ $values.A }} hours without an audit",
        no_data=Fallback(
            Unanswered.ALERTING,
            "Absent before the first success: a worker whose audit never succeeds would else never be told of.",
        ),
    ),
    Rule(
        uid="unproven-charges",
        title="A charge could not be proved",
        question="Was a session settled whose charge nobody could prove?",
        group="money",
        expression=f"sum({added(UNPROVEN, '1h')})",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.WARNING,
        component="credits",
        summary="A failed session's charge is in no ledger, so nothing was given back.",
        description=(
            "About {{ $values.A }} sessions in the last hour. Billing has to decide:"
            " `select * from wearon_worker_unproven_charges('2026-12-01')` lists them."
        ),
        value_text="about {{ $values.A }} in an hour",
        no_data=TOLD_BY_WORKER_GONE,
        look_back=timedelta(minutes=70),
    ),
    Rule(
        uid="session-stays-open",
        title="A session cannot be settled",
        question="Has the database refused for ten minutes to settle a session that has lost its task?",
        group="money",
        expression=f"sum({added(REFUSED, '5m')})",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(minutes=10),
        severity=Severity.WARNING,
        component="credits",
        summary="A shopper has neither a picture nor the credit back: the database refuses to settle the session.",
        description=(
            "Recovery tries again in every round; {{ $values.A }} refusals in 5 minutes. The log line"
            " lost_session_not_settled names the session and says in the database's words what it refuses."
        ),
        value_text="{{ $values.A }} refusals in 5 minutes",
        no_data=TOLD_BY_WORKER_GONE,
    ),
    Rule(
        uid="backup-old",
        title="There is no fresh backup",
        question="Is the last backup younger than 26 hours?",
        group="money",
        expression=hours_since('max(wearon_backup_last_success_timestamp_seconds{job="node-exporter"})'),
        side=Side.ABOVE,
        threshold=26,
        hold=timedelta(hours=1),
        severity=Severity.WARNING,
        component="backup",
        summary="No backup has succeeded for more than 26 hours.",
        description=(
            "The last backup is {{ $values.A }} hours old; no value means that there is none. It runs every night at"
            " 2:30; 26 hours leave it time for one late night."
        ),
        value_text="{{ $values.A }} hours old",
        no_data=Fallback(
            Unanswered.ALERTING,
            "A host on which no backup ever succeeded has no series, and is the one to be told of.",
        ),
    ),
)
