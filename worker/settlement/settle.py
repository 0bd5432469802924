"""Carries out decisions about a session, each by one SQL function. Nothing else in the worker writes terminal states.

A result or a refund is not lost when Supabase is unreachable: the call is repeated until it succeeds. If the process
dies before, recovery settles the session. All calls may be repeated (see the SQL).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from models.failures import PlatformFailure, PlatformUnavailable
from models.generation import Channel, GeneratedImage, SessionRef
from services.platform.answers import ClaimAnswer, CompleteAnswer, FailAnswer
from services.platform.storage_gate import LOOK_SECONDS, StorageGate
from services.platform.supabase_client import SupabaseClient
from services.shutdown import ShuttingDown
from worker.samples import ChargeUndone, GenerationEnded, RecordSample
from worker.settlement.away_watch import AwayWatch
from worker.settlement.job_window import once_allowed
from worker.settlement.landing import is_away, until_it_lands
from worker.settlement.picture_in_hand import Clock, PictureInHand
from worker.settlement.policy import ATTEMPT_LIMIT, Fail

log = structlog.get_logger()

OUTCOMES_OF_OTHERS: Final = frozenset({"settled", "owned", "refunded", "executor_dead", "missing"})
"""Outcomes of a claim repeated while its picture waits: somebody else has the session, or it is settled."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to settle one session, which was claimed with this fence."""

    session: SessionRef
    fence: UUID


class Settlement:
    """State changes of sessions.

    Args:
        store: the platform.
        record: takes samples.
        gate: told whether Storage takes pictures; only where pictures are bought.
        watch: told whether the database answers.
        cancelled: true once the process is shutting down.
    """

    def __init__(
        self,
        store: SupabaseClient,
        record: RecordSample,
        *,
        gate: StorageGate | None = None,
        watch: AwayWatch | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._record = record
        self._gate = gate
        self._watch = watch or AwayWatch(lambda _reason: None)
        self._cancelled = cancelled
        self._look_seconds = look_seconds

    def claim(self, claim: Claim, executor: UUID) -> ClaimAnswer:
        """Claim the session; waits while the platform's stuck-session job may be working on it.

        Raises:
            ShuttingDown: the process is shutting down; nothing has been spent yet.
        """
        return once_allowed("claim", lambda: self.look(claim, executor), self._cancelled)

    def look(self, claim: Claim, executor: UUID) -> ClaimAnswer:
        """Claim the session and return the first answer, also "not_now". Repeated, it tells whether we still hold it.

        Raises:
            ShuttingDown: Supabase is unreachable and the process is shutting down.
        """

        def ask() -> ClaimAnswer:
            try:
                return self._watch.watched("claim", lambda: self._claim_once(claim, executor))
            except PlatformUnavailable:
                if self._cancelled():
                    raise ShuttingDown from None
                raise

        return until_it_lands("claim", ask)

    def is_still_ours(self, claim: Claim, executor: UUID) -> bool:
        """Whether nobody else has settled or claimed the session. One quick try; true when there is no answer."""
        try:
            return self._claim_once(claim, executor).outcome not in OUTCOMES_OF_OTHERS
        except PlatformFailure:
            return True

    def _claim_once(self, claim: Claim, executor: UUID) -> ClaimAnswer:
        return self._store.claim(claim.session, executor=executor, fence=claim.fence, attempt_limit=ATTEMPT_LIMIT)

    def release(self, claim: Claim, *, rate_limited: bool) -> None:
        """Set the session back to queued. At a shutdown there is one try: recovery does it for a dead executor."""
        try:
            outcome = until_it_lands(
                "release",
                lambda: self._watch.watched(
                    "release",
                    lambda: self._store.release(claim.session, fence=claim.fence, rate_limited=rate_limited),
                ),
                may_repeat=lambda failure: is_away(failure) and not self._cancelled(),
            )
        except PlatformUnavailable as failure:
            log.warning("release_left_to_recovery", reason=failure.reason, detail=failure.detail)
        else:
            log.info("session_released", outcome=outcome, rate_limited=rate_limited)

    def try_to_release(self, claim: Claim) -> None:
        """Release a session that cannot be settled now. One try; does nothing when it is not ours.

        Raises:
            PlatformFailure: we may still hold it; recovery settles it when this executor is dead.
        """
        self._store.release(claim.session, fence=claim.fence, rate_limited=False)

    def complete(
        self,
        claim: Claim,
        image: GeneratedImage,
        path: str,
        clock: Clock,
        still_ours: Callable[[], bool] = lambda: True,
    ) -> str:
        """Store the picture, sign it and mark the session completed; returns the outcome.

        The picture has been paid for, so refusals are repeated until the task's deadline.

        Raises:
            PlatformRefused, StorageRefused: the database or Storage refused it until the task's deadline.
            NoLongerWanted: ``still_ours()`` was false while Storage did not take it.
            ShuttingDown: the process is shutting down, and the platform's job may be giving the credit back.
        """
        picture = PictureInHand(
            self._store,
            self._gate,
            path=path,
            jpeg=image.jpeg,
            clock=clock,
            still_ours=still_ours,
            look_seconds=self._look_seconds,
        )
        begun_at = time.monotonic()
        url = until_it_lands("store_result", picture.offer, may_repeat=picture.may_offer_again)
        log.info("result_stored", size_bytes=len(image.jpeg), seconds=round(time.monotonic() - begun_at, 3))
        processing_time_ms = round(clock.elapsed_seconds() * 1_000)

        def ask() -> CompleteAnswer:
            return self._store.complete(
                claim.session, fence=claim.fence, image_url=url, processing_time_ms=processing_time_ms, image=image
            )

        def land() -> CompleteAnswer:
            return until_it_lands(
                "complete", lambda: self._watch.watched("complete", ask), may_repeat=picture.may_offer_again
            )

        outcome = once_allowed("complete", land, self._cancelled).outcome
        if outcome != "completed":
            log.warning("completion_came_too_late", outcome=outcome)
            return outcome
        self._record(GenerationEnded(claim.session.channel, "completed"))
        log.info(
            "session_completed",
            processing_time_ms=processing_time_ms,
            model=image.model,
            **image.told_cost,
        )
        return outcome

    def fail(self, claim: Claim, decision: Fail) -> str:
        """Mark our session failed and undo its charge; returns the outcome.

        Raises:
            PlatformRefused: the database refuses; the session stays open and recovery tries again.
            ShuttingDown: the process is shutting down, and the platform's job may be giving the credit back.
        """

        def ask() -> FailAnswer:
            return until_it_lands(
                "fail",
                lambda: self._watch.watched("fail", lambda: self._try_to_fail(claim.session, claim.fence, decision)),
            )

        return self._failed(claim.session.channel, once_allowed("fail", ask, self._cancelled), decision)

    def fail_unowned(self, session: SessionRef, decision: Fail) -> FailAnswer:
        """The same for a session that nobody runs. One try, because the next recovery round tries again.

        Raises:
            PlatformFailure: the session stays open.
        """
        answer = self._try_to_fail(session, None, decision)
        # There is no task here, so the request id for the log comes from the row (Pattern 1).
        known = {} if answer.request_id is None else {"request_id": answer.request_id}
        with structlog.contextvars.bound_contextvars(**known):
            self._failed(session.channel, answer, decision)
        return answer

    def _try_to_fail(self, session: SessionRef, fence: UUID | None, decision: Fail) -> FailAnswer:
        return self._store.fail(session, fence=fence, message=decision.message, reason=decision.reason)

    def _failed(self, channel: Channel, answer: FailAnswer, decision: Fail) -> str:
        if answer.outcome == "failed":
            self._record(GenerationEnded(channel, "failed", decision.reason))
            self._record(ChargeUndone(answer.refund_kind))
            log.info(
                "session_failed",
                reason=decision.reason,
                refund=answer.refund_kind,
                refunded_credits=answer.refunded_credits,
            )
        else:
            log.info("failure_not_recorded", reason=decision.reason, outcome=answer.outcome)
        return answer.outcome
