"""One run of one task: claim the session, make the picture, settle. Effects in order; decisions are made elsewhere."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import redis
import structlog

from models.failures import (
    AttemptsExhausted,
    BadTask,
    Failure,
    GivenBack,
    NoLongerWanted,
    OwnerMismatch,
    PlatformFailure,
    PlatformRefused,
    UnexpectedFailure,
)
from models.generation import Channel, GeneratedImage
from models.image_models import billed_tokens
from models.stages import Stage, StageTimes
from models.task_payload import TASK_CONTRACT, GenerationTask
from services.platform.answers import ClaimAnswer
from services.queue.refusals import words_of
from services.queue.task_queue import TaskQueue
from services.shutdown import ShuttingDown
from worker.dead_letters import DeadLetter
from worker.execution.burial_brake import BurialBrake
from worker.execution.clock import TaskClock
from worker.execution.pipeline import Pipeline
from worker.execution.routing import result_path
from worker.samples import GenerationTimed, LetterBuried, PictureBilled, RecordSample, StagesTimed
from worker.settlement.job_window import NOT_NOW
from worker.settlement.policy import Fail, RetryLater, decide, message_for
from worker.settlement.settle import Claim, Settlement

log = structlog.get_logger()

REDIS_RETRY_SECONDS: Final = 2.0
"""Between attempts to drop an in-flight copy while Redis is unreachable."""


OUTCOMES_NOT_OURS: Final = frozenset({"lost", "executor_dead"})
"""Outcomes after which this run may not settle the session, which may still be open."""

OUTCOMES_STILL_OPEN: Final = frozenset({"claimed", "refunded", NOT_NOW})
"""Outcomes of a repeated claim after which the session is still open; whoever claims it next settles it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Done; the in-flight copy is gone."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Run again after the delay; the in-flight copy stays."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Returned:
    """Not run, and nothing was spent; the in-flight copy stays for the next run."""


RunResult = Finished | Postponed | Returned


class TaskRunner:
    """Runs tasks for one executor. Safe to share between threads.

    Args:
        executor: the id under which sessions are claimed.
        queue: where the in-flight copies are.
        settlement: changes session states.
        pipeline: makes the pictures.
        record: takes samples.
        task_limit_seconds: NFR-5.2.
        cancelled: true once the process is shutting down; a task that has not called the provider yet is given back.
        on_declared_dead: called when the database has declared the executor dead.
        brake: asked before a task is buried for a reason that may not be the task's fault.
    """

    def __init__(
        self,
        *,
        executor: UUID,
        queue: TaskQueue,
        settlement: Settlement,
        pipeline: Pipeline,
        record: RecordSample,
        task_limit_seconds: float,
        cancelled: Callable[[], bool],
        on_declared_dead: Callable[[], None],
        brake: BurialBrake,
    ) -> None:
        self._executor = executor
        self._queue = queue
        self._settlement = settlement
        self._pipeline = pipeline
        self._record = record
        self._task_limit_seconds = task_limit_seconds
        self._cancelled = cancelled
        self._on_declared_dead = on_declared_dead
        self._brake = brake

    def run(self, element: bytes) -> RunResult:
        """Run the task of an in-flight element to its end, successful or not. Raises nothing."""
        # The consumer has validated the element already: it dispatches only tasks.
        task = TASK_CONTRACT.validate_json(element)
        claim = Claim(task.session, fence=uuid4())
        try:
            return self._claim_and_run(task, element, claim)
        except PlatformRefused as error:
            log.error("settlement_refused", operation=error.operation, reason=error.reason, detail=error.detail)
            reason = f"platform refused {error.operation}: {error.reason}"
            return self._give_up(element, task, claim, reason, error.detail)
        except Exception as error:
            log.exception("run_broke")
            return self._give_up(element, task, claim, f"the run broke: {type(error).__name__}")

    def _give_up(self, element: bytes, task: GenerationTask, claim: Claim, reason: str, detail: str = "") -> RunResult:
        """Release the session and bury the element. Recovery settles the session; the operator finds the element."""
        try:
            self._settlement.try_to_release(claim)
        except PlatformFailure as error:
            log.error("release_refused", operation=error.operation, reason=error.reason, detail=error.detail)
        return self._bury_unless_held(element, task, reason, detail)

    def _claim_and_run(self, task: GenerationTask, element: bytes, claim: Claim) -> RunResult:
        try:
            answer = self._settlement.claim(claim, self._executor)
        except ShuttingDown:
            return Returned()
        try:
            return self._act_on(answer, task, element, claim)
        except ShuttingDown:
            self._settlement.release(claim, rate_limited=False)
            return Returned()

    def _act_on(self, answer: ClaimAnswer, task: GenerationTask, element: bytes, claim: Claim) -> RunResult:
        match answer.outcome:
            case "claimed":
                return self._run_claimed(task, element, claim, answer)
            case "exhausted" | "refunded":
                return self._fail(claim, why_not_run(answer), element, answer)
            case "executor_dead":
                log.warning("executor_declared_dead")
                self._on_declared_dead()
                return Returned()
            case "missing":
                log.error("session_missing")
                return self._bury_unless_held(element, task, "no such session in the database")
            case "not_now":  # not reached: Settlement.claim() waits until the answer is another one
                return Returned()
            case "settled" | "owned":
                log.info("duplicate_dropped", outcome=answer.outcome, status=answer.status)
                return self._finish(element)

    def _run_claimed(self, task: GenerationTask, element: bytes, claim: Claim, answer: ClaimAnswer) -> RunResult:
        times = StageTimes()
        times.add(Stage.QUEUE, _seconds_since(task.created_at))
        log.info(
            "session_claimed",
            attempt=answer.attempt,
            image_count=len(task.image_urls),
            queued_seconds=round(times.seconds[Stage.QUEUE], 3),
        )
        result = self._make_and_settle(task, element, claim, answer, times)
        if isinstance(result, Finished):
            self._record(StagesTimed(times.seconds))
        return result

    def _make_and_settle(
        self, task: GenerationTask, element: bytes, claim: Claim, answer: ClaimAnswer, times: StageTimes
    ) -> RunResult:
        if answer.owner_id != task.owner_id:
            mismatch = OwnerMismatch("the task names another owner than the session")
            log.error("owner_mismatch")
            self._settlement.fail(claim, Fail(message_for(mismatch), mismatch.kind))
            return self._bury(element, task, str(mismatch))

        clock = TaskClock(self._task_limit_seconds)
        try:
            image = self._make_image(task, clock, lambda: self._is_still_ours(claim), times)
            self._record(_bill_of(image, task.channel))
            outcome = self._store(image, task, claim, clock, times)
        except ShuttingDown:
            raise
        except NoLongerWanted:
            log.info("settled_by_others_while_waiting")
            return self._without_a_run(claim, element)
        except Failure as failure:
            return self._fail(claim, failure, element, answer)
        except Exception as error:
            log.exception("unexpected_failure")
            return self._fail(claim, UnexpectedFailure(type(error).__name__), element, answer)
        if outcome == "completed":
            self._record(GenerationTimed(task.channel, _seconds_since(task.created_at)))
        return self._settled(outcome, element)

    def _store(
        self, image: GeneratedImage, task: GenerationTask, claim: Claim, clock: TaskClock, times: StageTimes
    ) -> str:
        started = time.monotonic()
        try:
            return self._settlement.complete(
                claim,
                image,
                result_path(task.channel, task.owner_id, task.session_id),
                clock,
                still_ours=lambda: self._settlement.is_still_ours(claim, self._executor),
            )
        finally:
            times.add(Stage.STORE, time.monotonic() - started)

    def _is_still_ours(self, claim: Claim) -> bool:
        # A claim repeated with the same fence says whether the session is still open and ours.
        return self._settlement.look(claim, self._executor).outcome == "claimed"

    def _without_a_run(self, claim: Claim, element: bytes) -> RunResult:
        outcome = self._settlement.look(claim, self._executor).outcome
        if outcome in OUTCOMES_STILL_OPEN:
            # The platform's stuck-session job may settle it now. The next run waits before it spends anything.
            self._settlement.release(claim, rate_limited=False)
            return Returned()
        return self._settled(outcome, element)

    def _make_image(
        self, task: GenerationTask, clock: TaskClock, still_wanted: Callable[[], bool], times: StageTimes
    ) -> GeneratedImage:
        # Pattern 4: a fresh event loop for each task, closed whatever happens.
        with asyncio.Runner() as runner:
            return runner.run(self._pipeline.make_image(task, clock, still_wanted, times))

    def _fail(self, claim: Claim, failure: Failure, element: bytes, answer: ClaimAnswer) -> RunResult:
        decision = decide(failure, rate_limited_before=answer.rate_limited)
        if isinstance(decision, RetryLater):
            log.info("run_postponed", kind=failure.kind, delay_seconds=decision.delay_seconds)
            self._settlement.release(claim, rate_limited=True)
            return Postponed(decision.delay_seconds)
        log.warning("run_failed", kind=failure.kind, detail=str(failure))
        return self._settled(self._settlement.fail(claim, decision), element)

    def _settled(self, outcome: str, element: bytes) -> RunResult:
        if outcome in OUTCOMES_NOT_OURS:
            # Recovery took the session from this run and runs it again from the in-flight copy, so the copy stays.
            return Returned()
        return self._finish(element)

    def _bury_unless_held(self, element: bytes, task: GenerationTask, reason: str, detail: str = "") -> RunResult:
        """Bury the element, unless several in a row were buried for this reason: then the task may not be at fault."""
        if not self._brake.may_bury(reason):
            return Returned()
        return self._bury(element, task, f"{reason} ({detail})" if detail else reason)

    def _bury(self, element: bytes, task: GenerationTask, detail: str) -> RunResult:
        letter = DeadLetter.about(
            element,
            reason=BadTask.kind,
            detail=detail,
            buried_at=datetime.now(UTC),
            session_ids=(task.session_id,),
            request_id=task.request_id,
        )
        self._record(LetterBuried(letter.reason))
        self._until_redis_answers(lambda: self._queue.bury(self._executor, element, letter.encode()))
        return Finished()

    def _finish(self, element: bytes) -> RunResult:
        self._brake.ended_well()
        self._until_redis_answers(lambda: self._queue.finish(self._executor, element))
        return Finished()

    def _until_redis_answers(self, call: Callable[[], None]) -> None:
        while True:
            try:
                return call()
            except redis.RedisError as error:
                # A copy that stays does no harm: the session is terminal, and whoever takes the copy next sees that.
                log.warning("redis_away", reason=type(error).__name__, detail=words_of(error))
                if self._cancelled():
                    return None
                time.sleep(REDIS_RETRY_SECONDS)


def _seconds_since(moment: datetime) -> float:
    # Never below zero: the platform's clock and ours may differ.
    return max(0.0, (datetime.now(UTC) - moment).total_seconds())


def _bill_of(image: GeneratedImage, channel: Channel) -> PictureBilled:
    """For the metrics. What the provider did not tell counts as nothing there; the row has no estimate then."""
    tokens = {} if image.usage is None else billed_tokens(image.usage)
    return PictureBilled(channel, image.model, tokens, float(image.estimated_cost_usd or 0))


def why_not_run(answer: ClaimAnswer) -> Failure:
    """Why a session that was claimed may not be run."""
    if answer.outcome == "refunded":
        return GivenBack("its charge was given back already")
    return AttemptsExhausted(f"{answer.attempt - 1} runs died")
