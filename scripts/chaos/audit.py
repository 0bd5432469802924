"""[pure] Was every credit right? From the evidence to figures and named violations.

NFR-2.4: for every session deducted = completed or given back, never both and never neither; looked at from both
sides, the sessions and the accounts, so that an error on one side shows on the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from models.generation import SessionStatus
from scripts.chaos.evidence import AccountEvidence, Evidence, Limits, Payer, SessionEvidence

REFUND_KINDS: Final = {
    Payer.USER: "user_credit",
    Payer.STORE: "store_credit",
    Payer.SHOPPER: "shopper_credit",
    Payer.OVERAGE: "store_overage",
}
"""How the worker's record must name the undoing of each kind of charge."""

TASK_LOST: Final = "task_lost"
"""The worker's reason for giving up a session that no task is left for."""

TERMINAL: Final = frozenset({SessionStatus.COMPLETED, SessionStatus.FAILED})


class Rule(StrEnum):
    """The kinds of violation; each is counted on the last line of a run."""

    LOST = "lost"
    """Neither finished nor given back."""
    DOUBLE_REFUND = "double_refunds"
    REFUND_OF_COMPLETED = "refunds_of_completed"
    WRONG_BALANCE = "wrong_balance"
    OTHER = "other_violations"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise; ``session_ids`` are the sessions to read about in the logs."""

    rule: Rule
    subject: str
    what: str
    session_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of sessions, and of the provider's requests."""

    sessions: int
    completed: int
    failed: int
    refunded: int
    provider_calls: int


@dataclass(frozen=True, slots=True)
class Audit:
    """The verdict on one run."""

    figures: Figures
    violations: tuple[Violation, ...]

    def count(self, rule: Rule) -> int:
        """How many sessions, accounts or other subjects break the rule."""
        return len({violation.subject for violation in self.violations if violation.rule is rule})


def audit(evidence: Evidence, limits: Limits) -> Audit:
    """Judge a run by its evidence."""
    sessions = evidence.sessions
    return Audit(
        figures=Figures(
            sessions=len(sessions),
            completed=sum(session.status is SessionStatus.COMPLETED for session in sessions),
            failed=sum(session.status is SessionStatus.FAILED for session in sessions),
            refunded=sum(session.times_given_back > 0 for session in sessions),
            provider_calls=evidence.provider_requests,
        ),
        violations=tuple(_violations(evidence, limits)),
    )


def _violations(evidence: Evidence, limits: Limits) -> Iterator[Violation]:
    for session in evidence.sessions:
        for rule, what in _faults_of_session(session, limits):
            yield Violation(rule, str(session), what, (session.session.session_id,))
    for account in evidence.accounts:
        own = [session for session in evidence.sessions if session.account == account.account]
        for rule, what in _faults_of_account(account, own):
            yield Violation(rule, str(account), what, tuple(session.session.session_id for session in own))
    for what in _faults_of_run(evidence, limits):
        yield Violation(Rule.OTHER, what, what)


def _faults_of_session(session: SessionEvidence, limits: Limits) -> Iterator[tuple[Rule, str]]:
    if session.status not in TERMINAL:
        yield Rule.LOST, f"still {session.status}"
    yield from _refund_faults(session)
    yield from _ledger_faults(session)
    if session.was_pushed and any(refund.reason == TASK_LOST for refund in session.worker_refunds):
        yield Rule.LOST, "its task reached the queue and disappeared"
    if session.overage_rows != (session.payer is Payer.OVERAGE):
        yield Rule.WRONG_BALANCE, f"{session.overage_rows} overage entries"
    if session.status is SessionStatus.COMPLETED:
        yield from ((Rule.OTHER, what) for what in _faults_of_result(session))
    if session.status is SessionStatus.FAILED and not session.error_message:
        yield Rule.OTHER, "failed without a word to the person"
    if session.provider_calls > limits.calls_per_session:
        yield Rule.OTHER, f"{session.provider_calls} provider calls; at most {limits.calls_per_session}"


def _refund_faults(session: SessionEvidence) -> Iterator[tuple[Rule, str]]:
    """What the worker's own record says, together with what the platform did."""
    given_back = session.times_given_back
    if session.status is SessionStatus.COMPLETED and session.worker_refunds:
        yield Rule.REFUND_OF_COMPLETED, f"completed, and on record as refunded: {session.worker_refunds}"
    if session.status is SessionStatus.FAILED and given_back == 0:
        yield Rule.LOST, "failed, and nobody gave the charge back"
    if given_back > 1:
        by_whom = "worker and platform" if session.failed_by_platform else "worker"
        yield Rule.DOUBLE_REFUND, f"given back {given_back} times by the {by_whom}"
    for refund in session.worker_refunds:
        if (refund.kind, refund.credits) != (REFUND_KINDS[session.payer], session.credits):
            yield Rule.WRONG_BALANCE, f"charged {session.credits} to the {session.payer}, on record as {refund}"
        if refund.by_platform:
            yield Rule.OTHER, "the worker tried to refund what the platform had refunded"


def _ledger_faults(session: SessionEvidence) -> Iterator[tuple[Rule, str]]:
    """What the platform's ledger says about this one request."""
    if session.ledger_refunds is None:
        return
    count = len(session.ledger_refunds)
    is_due = session.status is SessionStatus.FAILED and session.payer is not Payer.OVERAGE
    if session.payer is Payer.OVERAGE and count:
        yield Rule.WRONG_BALANCE, "an overage was given back to a balance that it never left"
    elif session.status is SessionStatus.COMPLETED and count:
        yield Rule.REFUND_OF_COMPLETED, f"completed, and the ledger gave back {session.ledger_refunds}"
    elif count > is_due:
        yield Rule.DOUBLE_REFUND, f"{session.status}, and the ledger gave back {session.ledger_refunds}"
    elif count < is_due:
        yield Rule.LOST, "failed, and no refund in the ledger"
    elif is_due and session.ledger_refunds != (session.credits,):
        yield Rule.WRONG_BALANCE, f"charged {session.credits}, and the ledger gave back {session.ledger_refunds}"


def _faults_of_result(session: SessionEvidence) -> Iterator[str]:
    if session.result_fault is not None:
        yield f"completed, but {session.result_fault}"
    if session.error_message is not None:
        yield f"completed, but the person still reads: {session.error_message}"
    if not session.can_complete:
        yield "completed, although the scenario made that impossible"


def _faults_of_account(account: AccountEvidence, sessions: Sequence[SessionEvidence]) -> Iterator[tuple[Rule, str]]:
    """Nothing here asks the worker's own record: only the platform's balance, its ledger, and the sessions."""
    moved = sum(line.amount for line in account.ledger if line.type != "overage")
    if account.balance != account.granted + moved:
        yield Rule.WRONG_BALANCE, f"balance {account.balance}, ledger {account.granted + moved}"
    charged = [session for session in sessions if session.payer is not Payer.OVERAGE]
    kept = sum(session.credits for session in charged if session.status is not SessionStatus.FAILED)
    if account.balance != account.granted - kept:
        yield Rule.WRONG_BALANCE, f"balance {account.balance}, by its sessions {account.granted - kept}"
    refunds = sum(line.type == "refund" for line in account.ledger)
    failed = sum(session.status is SessionStatus.FAILED for session in charged)
    if refunds > failed:
        yield Rule.DOUBLE_REFUND, f"{refunds} refunds in the ledger for {failed} failed sessions"
    if refunds < failed:
        yield Rule.LOST, f"{refunds} refunds in the ledger for {failed} failed sessions"


def _faults_of_run(evidence: Evidence, limits: Limits) -> Iterator[str]:
    if evidence.left_in_redis:
        yield f"{evidence.left_in_redis} elements left in the queue or in flight"
    if evidence.peak_requests_per_minute > limits.requests_per_minute:
        yield f"{evidence.peak_requests_per_minute} provider requests in 60 s; at most {limits.requests_per_minute}"
    yield from evidence.strays
