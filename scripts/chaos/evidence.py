"""[pure] What is known after a run: everything the audit judges by, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from models.generation import SessionRef, SessionStatus


class Payer(StrEnum):
    """Who paid for a session, and so who gets it back (platform contract)."""

    USER = "user"
    STORE = "store"
    SHOPPER = "shopper"
    OVERAGE = "overage"
    """Nobody's balance: the charge is billed outside and only recorded."""


@dataclass(frozen=True, slots=True)
class WorkerRefund:
    """One row of ``wearon_worker.refunds``. ``by_platform``: the ledger held the refund already, so none was given."""

    kind: str
    credits: int
    reason: str
    by_platform: bool = False


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """One session.

    ``ledger_refunds`` are the amounts that the platform's ledger gave back for the session's request; ``None`` where
    that ledger names no request (b2c). ``result_fault`` says what is wrong with the stored picture of a completed
    session. ``can_complete`` is false where the scenario made success impossible, ``was_pushed`` where no readable
    task ever reached the queue.
    """

    number: int
    session: SessionRef
    payer: Payer
    account: UUID
    credits: int
    status: SessionStatus
    error_message: str | None
    failed_by_platform: bool
    can_complete: bool
    was_pushed: bool
    worker_refunds: tuple[WorkerRefund, ...]
    ledger_refunds: tuple[int, ...] | None
    overage_rows: int
    result_fault: str | None
    provider_calls: int

    @property
    def times_given_back(self) -> int:
        """How often the charge was undone, by whomever."""
        return sum(not refund.by_platform for refund in self.worker_refunds) + self.failed_by_platform

    def __str__(self) -> str:
        return f"{self.session.channel} session {self.session.session_id} (task {self.number}, paid by {self.payer})"


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One movement of an account: negative takes, positive gives."""

    type: str
    amount: int


@dataclass(frozen=True, slots=True)
class AccountEvidence:
    """One paying account: ``granted`` is what it began with, ``ledger`` every movement since."""

    account: UUID
    payer: Payer
    granted: int
    balance: int
    ledger: tuple[LedgerLine, ...]

    def __str__(self) -> str:
        return f"{self.payer} account {self.account}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything about one run. ``strays`` are findings that were facts already when they were seen."""

    sessions: Sequence[SessionEvidence]
    accounts: Sequence[AccountEvidence]
    left_in_redis: int
    provider_requests: int
    peak_requests_per_minute: int
    strays: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the provider may be asked: in all for one session, and by all workers together in any 60 s (NFR-1.4)."""

    calls_per_session: int
    requests_per_minute: int
