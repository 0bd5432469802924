"""What the worker's SQL promises about one session, said a second time and without a database.

The state machine of tests/property compares every answer of the real functions with this.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from models.generation import SessionRef
from tests.support.worker_sql import Run

OPEN = frozenset({"queued", "processing"})


@dataclass
class ModelSession:
    """One session and its claim: ``holder`` is the executor that has it, ``fence`` the run that had it last."""

    session: SessionRef
    kind: str
    credits: int
    is_old: bool = False
    """On the list of the platform's job, were it read now and the session open (b2c)."""
    status: str = "queued"
    holder: UUID | None = None
    fence: UUID | None = None
    attempt: int = 0
    rate_limited: int = 0
    settled_as: str | None = None
    refunded_by_us: bool = False
    """On the worker's record, which says so also where the platform was first."""
    times_given_back: int = 0
    """In credits that moved, or outside."""

    @property
    def is_open(self) -> bool:
        """Somebody still waits for it."""
        return self.status in OPEN

    @property
    def is_given_back(self) -> bool:
        """The charge was undone, as far as the worker can tell."""
        return self.refunded_by_us or self.times_given_back > 0

    def claim(self, executor: UUID, fence: UUID, alive: Collection[UUID], attempt_limit: int, night: str) -> str:
        """A run asks for the session. ``night``: "day", "before" the job reads its list, or "job" while it runs."""
        if not self.is_open:
            return "settled"
        if executor not in alive:
            return "executor_dead"
        if self.holder in alive:
            return "owned"
        may_run = not self.is_given_back and self.attempt < attempt_limit
        if may_run and self.is_old and night != "day":
            return "not_now"
        self.holder, self.fence, self.attempt = executor, fence, self.attempt + 1
        if not may_run:
            return "refunded" if self.is_given_back else "exhausted"
        self.status = "processing"
        return "claimed"

    def release(self, fence: UUID, *, rate_limited: bool) -> str:
        """A run hands the session back; only the run that holds it changes anything."""
        if not self.is_open:
            return "settled"
        if self.fence != fence:
            return "lost"
        if self.holder is not None:
            self.holder, self.status = None, "queued"
            self.attempt -= 1
            self.rate_limited += rate_limited
        return "released"

    def complete(self, fence: UUID, night: str) -> str:
        """A run has the picture."""
        if (self.fence, self.settled_as, self.status) == (fence, "completed", "completed"):
            return "completed"
        if not self.is_open:
            return "settled"
        if self.fence == fence and self.is_given_back:
            self.holder = None
            return "refunded"
        if self.fence != fence or self.holder is None:
            return "lost"
        if self.is_old and night == "job":
            return "not_now"
        self.holder, self.status, self.settled_as = None, "completed", "completed"
        return "completed"

    def fail(self, fence: UUID | None, alive: Collection[UUID], night: str) -> tuple[str, int]:
        """A run, or nobody, gives up: the outcome, and the credits on record as undone by this call."""
        if fence is not None and (self.fence, self.settled_as, self.status) == (fence, "failed", "failed"):
            return "failed", 0
        if not self.is_open:
            return "settled", 0
        if fence is None and self.holder in alive:
            return "owned", 0
        if fence is not None and (self.fence != fence or self.holder is None):
            return "lost", 0
        if self.is_old and night == "job" and not self.is_given_back:
            return "not_now", 0
        given_back = 0 if self.is_given_back else self.credits
        self.times_given_back += not self.is_given_back
        self.holder, self.status, self.settled_as, self.refunded_by_us = None, "failed", "failed", True
        return "failed", given_back

    def holder_died(self, dead: Collection[UUID]) -> None:
        """Recovery takes the claim from a dead executor."""
        if self.holder in dead:
            self.holder = None
            if self.status == "processing":
                self.status = "queued"


@dataclass
class Copy:
    """One queue element, wherever it is. ``run`` is the run that works on it."""

    session: ModelSession
    run: Run | None = None


@dataclass
class Worker:
    """One executor as the test drives it. ``is_late``: its lease ran out; ``is_dead``: declared dead."""

    executor: UUID
    is_late: bool = False
    is_dead: bool = False
    in_flight: list[Copy] = field(default_factory=list)
