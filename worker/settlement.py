"""Carries out decisions about a session, through the one SQL function each; the only writer of terminal states.

A result or a refund is not lost because Supabase is away for a moment: the call is repeated until it lands or the
process dies, and then recovery finishes the job. All calls may be repeated (see the SQL).
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

import structlog

from models.failures import PlatformUnavailable
from models.generation import GeneratedImage, SessionRef
from services.supabase_client import ClaimAnswer, FailAnswer, SupabaseClient
from services.turn_waiting import TurnCancelled
from worker.measurements import ChargeUndone, GenerationEnded, Measure
from worker.policy import ATTEMPT_LIMIT, Fail

log = structlog.get_logger()

FIRST_RETRY_SECONDS: Final = 0.2
LONGEST_RETRY_SECONDS: Final = 10.0
"""Quick enough that a refund after a hiccup still takes under a second; slow enough to leave a sick database alone."""

Answer = TypeVar("Answer")


def until_it_lands(operation: str, call: Callable[[], Answer], sleep: Callable[[float], None] = time.sleep) -> Answer:
    """Repeat ``call`` while Supabase is away, with growing, jittered pauses.

    Raises:
        PlatformRefused: Supabase answered no; repeating will not help.
    """
    attempt = 0
    while True:
        try:
            return call()
        except PlatformUnavailable as error:
            pause = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**attempt)
            attempt += 1
            log.warning("platform_away", operation=operation, reason=error.reason, attempt=attempt, retry_in=pause)
            sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not cryptography


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to settle one session: it was claimed with this fence."""

    session: SessionRef
    fence: UUID


class Settlement:
    """State changes of sessions."""

    def __init__(self, store: SupabaseClient, measure: Measure) -> None:
        self._store = store
        self._measure = measure

    def claim(self, claim: Claim, executor: UUID, cancelled: Callable[[], bool]) -> ClaimAnswer:
        """Ask for the right to run the session.

        Raises:
            TurnCancelled: Supabase is away and the process is shutting down; nothing has been spent yet.
        """

        def ask() -> ClaimAnswer:
            try:
                return self._store.claim(
                    claim.session, executor=executor, fence=claim.fence, attempt_limit=ATTEMPT_LIMIT
                )
            except PlatformUnavailable:
                if cancelled():
                    raise TurnCancelled from None
                raise

        return until_it_lands("claim", ask)

    def release(self, claim: Claim, *, rate_limited: bool) -> None:
        """Hand the session back to the queue."""
        outcome = until_it_lands(
            "release", lambda: self._store.release(claim.session, fence=claim.fence, rate_limited=rate_limited)
        )
        log.info("session_released", outcome=outcome, rate_limited=rate_limited)

    def try_to_release(self, claim: Claim) -> None:
        """Let go of a session that cannot be settled now; one try, and nothing happens when it is not ours.

        Raises:
            PlatformFailure: it may still be ours; recovery settles it when this executor is gone.
        """
        self._store.release(claim.session, fence=claim.fence, rate_limited=False)

    def complete(self, claim: Claim, image: GeneratedImage, path: str, elapsed_seconds: Callable[[], float]) -> str:
        """Store the picture, sign it and mark the session completed; returns the outcome.

        Raises:
            PlatformRefused: the storage or the database does not take it.
        """
        until_it_lands("store_result", lambda: self._store.store_result(path, image.jpeg))
        url = until_it_lands("sign_result", lambda: self._store.sign_result(path))
        processing_time_ms = round(elapsed_seconds() * 1_000)
        outcome = until_it_lands(
            "complete",
            lambda: self._store.complete(
                claim.session, fence=claim.fence, image_url=url, processing_time_ms=processing_time_ms, image=image
            ),
        )
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
        """
        return self._failed(
            until_it_lands("fail", lambda: self._try_to_fail(claim.session, claim.fence, decision)), decision
        )

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
