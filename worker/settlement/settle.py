"""Carries out decisions about a session, through the one SQL function each; the only writer of terminal states.

A result or a refund is not lost because Supabase is away for a moment: the call is repeated until it lands or the
process dies, and then recovery finishes the job. All calls may be repeated (see the SQL).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from models.failures import PlatformFailure, PlatformUnavailable
from models.generation import GeneratedImage, SessionRef
from services.platform.answers import ClaimAnswer, CompleteAnswer, FailAnswer
from services.platform.storage_gate import LOOK_SECONDS, StorageGate
from services.platform.supabase_client import SupabaseClient
from services.turns.fair_lock import ShuttingDown
from worker.samples import ChargeUndone, GenerationEnded, Measure
from worker.settlement.away_watch import AwayWatch
from worker.settlement.job_window import once_allowed
from worker.settlement.landing import is_away, until_it_lands
from worker.settlement.picture_in_hand import Clock, PictureInHand
from worker.settlement.policy import ATTEMPT_LIMIT, Fail

log = structlog.get_logger()

OUTCOMES_OF_OTHERS: Final = frozenset({"settled", "owned", "refunded", "executor_dead", "missing"})
"""Answers to a claim that is repeated while its picture waits: somebody else has the session, or it is over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to settle one session: it was claimed with this fence."""

    session: SessionRef
    fence: UUID


class Settlement:
    """State changes of sessions.

    Args:
        store: the platform.
        measure: takes measurements.
        gate: told how Storage takes pictures, where any are bought.
        watch: told how the database answers.
        cancelled: true once the process is shutting down.
    """

    def __init__(
        self,
        store: SupabaseClient,
        measure: Measure,
        *,
        gate: StorageGate | None = None,
        watch: AwayWatch | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._measure = measure
        self._gate = gate
        self._watch = watch or AwayWatch(lambda _reason: None)
        self._cancelled = cancelled
        self._look_seconds = look_seconds

    def claim(self, claim: Claim, executor: UUID) -> ClaimAnswer:
        """Ask for the right to run the session; waits while the platform's job is about.

        Raises:
            ShuttingDown: the process is shutting down; nothing has been spent yet.
        """
        return once_allowed("claim", lambda: self.look(claim, executor), self._cancelled)

    def look(self, claim: Claim, executor: UUID) -> ClaimAnswer:
        """The same with the first answer, whatever it is; of a claim held already it says whether it still is.

        Raises:
            ShuttingDown: Supabase is away and the process is shutting down.
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
        """Whether nobody else has settled or taken the session; one quick look, and "yes" when nobody can say."""
        try:
            return self._claim_once(claim, executor).outcome not in OUTCOMES_OF_OTHERS
        except PlatformFailure:
            return True

    def _claim_once(self, claim: Claim, executor: UUID) -> ClaimAnswer:
        return self._store.claim(claim.session, executor=executor, fence=claim.fence, attempt_limit=ATTEMPT_LIMIT)

    def release(self, claim: Claim, *, rate_limited: bool) -> None:
        """Hand the session back to the queue. At a shutdown one try is enough: recovery does it for a dead executor."""
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
        """Let go of a session that cannot be settled now; one try, and nothing happens when it is not ours.

        Raises:
            PlatformFailure: it may still be ours; recovery settles it when this executor is gone.
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

        It is paid for, so no refusal is the last word while the task has time left.

        Raises:
            PlatformRefused, StorageRefused: the database or Storage did not take it until the task's time was up.
            NoLongerWanted: ``still_ours()`` said no while Storage did not take it.
            ShuttingDown: the process is shutting down, and the platform's job may be about to give the credit back.
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
        url = until_it_lands("store_result", picture.offer, may_repeat=picture.may_offer_again)
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
        self._measure(GenerationEnded("completed"))
        log.info(
            "session_completed",
            processing_time_ms=processing_time_ms,
            model=image.model,
            input_tokens=image.usage.input_tokens,
            output_tokens=image.usage.output_tokens,
            estimated_cost_usd=str(image.estimated_cost_usd),
        )
        return outcome

    def fail(self, claim: Claim, decision: Fail) -> str:
        """Mark our session failed and undo its charge; returns the outcome.

        Raises:
            PlatformRefused: the database does not take it; the session stays open and recovery tries again.
            ShuttingDown: the process is shutting down, and the platform's job may be about to give the credit back.
        """

        def ask() -> FailAnswer:
            return until_it_lands(
                "fail",
                lambda: self._watch.watched("fail", lambda: self._try_to_fail(claim.session, claim.fence, decision)),
            )

        return self._failed(once_allowed("fail", ask, self._cancelled), decision)

    def fail_unowned(self, session: SessionRef, decision: Fail) -> FailAnswer:
        """The same for a session that nobody runs; one try, because recovery comes round again anyway.

        Raises:
            PlatformFailure: the session stays open.
        """
        answer = self._try_to_fail(session, None, decision)
        # Without a task at hand, only the row knows the request id (Pattern 1).
        known = {} if answer.request_id is None else {"request_id": answer.request_id}
        with structlog.contextvars.bound_contextvars(**known):
            self._failed(answer, decision)
        return answer

    def _try_to_fail(self, session: SessionRef, fence: UUID | None, decision: Fail) -> FailAnswer:
        return self._store.fail(session, fence=fence, message=decision.message, reason=decision.reason)

    def _failed(self, answer: FailAnswer, decision: Fail) -> str:
        if answer.outcome == "failed":
            self._measure(GenerationEnded("failed", decision.reason))
            self._measure(ChargeUndone(answer.refund_kind))
            log.info(
                "session_failed",
                reason=decision.reason,
                refund=answer.refund_kind,
                refunded_credits=answer.refunded_credits,
            )
        else:
            log.info("failure_not_recorded", reason=decision.reason, outcome=answer.outcome)
        return answer.outcome
