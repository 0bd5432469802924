"""One try-on picture from the provider: every answer becomes a picture or one of ``models.failures``.

Not the openai SDK: FR-3 owns the retries, one deadline covers the whole call, the answer is bounded, every attempt
takes its turn at the shared gate first, and 200 calls in flight must fit into the memory of one small container.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog

from models.failures import (
    AccountBlocked,
    DeadlineExceeded,
    Failure,
    NoLongerWanted,
    NoModelLeft,
    ProviderFailure,
)
from models.generation import GeneratedImage
from models.image_models import Effort, ImageModelProfile
from models.stages import Stage, StageTimes
from services.platform.storage_gate import StorageGate
from services.providers.attempt_codes import MODEL_GONE, MODEL_REFUSED, SUCCESS
from services.providers.image_provider import ImageProvider, ModelGone, ProviderRequest, Retryable
from services.providers.openai.wire import EXCHANGE_LIMITS, Attempt, Deadline, ExchangeLimits, ProviderWire, Verdict
from services.providers.roster import ModelRoster
from services.providers.turns_while_stored import turn_while_stored
from services.turns.gate import Turn, TurnGate, TurnOutcome

log = structlog.get_logger()

FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 8.0
"""Exponential backoff with full jitter (FR-3.3; M. Brooker, "Exponential Backoff And Jitter", AWS 2015)."""

LONG_WAIT_SECONDS: Final = 60.0
"""After a wait like this the person may be gone: the platform itself ends sessions after ten minutes."""

AttemptHook = Callable[[str, int | None, str], None]
"""Told of every attempt: model, HTTP status if any, and ``ok``, ``model_gone``, ``model_refused`` or the failure's
kind."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What one call of ``edit`` goes by, whichever model it asks."""

    clock: Deadline
    still_wanted: Callable[[], bool]
    times: StageTimes


class ImageClient:
    """Makes try-on pictures; one object per process, shared by all threads.

    ``edit`` expects an event loop of its own in its thread (Pattern 4): it blocks that thread while it waits for a
    turn, and all else that waits there is this call itself.

    Args:
        provider: who is asked; the turns are its own.
        models: in order of preference (``OPENAI_IMAGE_MODELS``).
        effort: how hard they are to try.
        max_retries: further attempts with a model after 5xx, 408, 409, a broken connection or silence
            (``OPENAI_MAX_RETRIES``).
        turns: asked before every attempt.
        storage: asked before the turn whether there is a place for the picture.
        cancelled: true once the process shuts down; then waiting for a turn ends with ``ShuttingDown``.
        on_attempt: told of every attempt, for metrics.
        on_model_gone: told once of every model that went, with its name.
        on_usable_models: told the names of the models that can be used, whenever they have changed.
        limits: of one exchange; other values in tests only.
        sleep, random_unit: replaced in tests.
    """

    def __init__(
        self,
        provider: ImageProvider,
        *,
        models: Sequence[ImageModelProfile],
        max_retries: int,
        turns: TurnGate,
        effort: Effort | None = None,
        storage: StorageGate | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        on_attempt: AttemptHook = lambda _model, _status, _code: None,
        on_model_gone: Callable[[str], None] = lambda _model: None,
        on_usable_models: Callable[[tuple[str, ...]], None] = lambda _models: None,
        limits: ExchangeLimits = EXCHANGE_LIMITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._provider = provider
        self._wire = ProviderWire(provider, turns=turns, cancelled=cancelled, limits=limits)
        self._roster = ModelRoster(models, on_model_gone=on_model_gone, on_usable_models=on_usable_models)
        self._effort = effort or Effort()
        self._max_retries = max_retries
        self._turns = turns
        self._storage = storage
        self._cancelled = cancelled
        self._on_attempt = on_attempt
        self._sleep = sleep
        self._random_unit = random_unit

    async def edit(
        self,
        *,
        images: Sequence[bytes],
        person_size: tuple[int, int],
        prompt: str,
        safety_identifier: str,
        clock: Deadline,
        still_wanted: Callable[[], bool] = lambda: True,
        times: StageTimes | None = None,
    ) -> GeneratedImage:
        """Asks for one try-on picture.

        Args:
            images: JPEGs, the first is the person.
            person_size: (width, height) of the first, in pixels.
            prompt: may be blank.
            safety_identifier: a hashed owner id of at most 64 characters.
            clock: the task's time; it stands still while this call waits for its turn.
            still_wanted: asked after a long wait, before money is spent; it may block, on nobody's clock.
            times: what turns and answers took is entered here.

        Raises:
            NoLongerWanted: ``still_wanted()`` said no.
            ProviderFailure: one of its kinds.
            DeadlineExceeded: the task's time ran out first.
            ShuttingDown: the process is shutting down; nothing is under way for this task.
        """
        # With the breaker open only a probe gets as far as asking a model that was gone.
        self._roster.start_over_if_empty()
        job = _Job(clock, still_wanted, StageTimes() if times is None else times)
        refusals: dict[str, str] = {}
        while (profile := self._roster.preferred()) is not None and profile.name not in refusals:
            request = self._provider.build_request(
                profile,
                self._effort,
                images=images,
                person_size=person_size,
                prompt=prompt,
                safety_identifier=safety_identifier,
            )
            result = await self._edit_with(profile, request, job)
            if isinstance(result, GeneratedImage):
                return result
            refusals[profile.name] = result.failure.reason
        said = "; ".join(f"{model}: {reason}" for model, reason in refusals.items())
        raise NoModelLeft(f"no configured image model can be used: {said}")

    async def _edit_with(
        self, profile: ImageModelProfile, request: ProviderRequest, job: "_Job"
    ) -> GeneratedImage | ModelGone:
        """Tries one model until it answers, is gone, or the retries or the task's time are used up."""
        retries = 0
        while True:
            result = await self._attempt(profile, request, job)
            if not isinstance(result, Retryable):
                return result
            delay_seconds = self._random_unit() * min(FIRST_BACKOFF_SECONDS * 2**retries, MAX_BACKOFF_SECONDS)
            if retries == self._max_retries or delay_seconds >= job.clock.remaining_seconds():
                raise result.failure
            retries += 1
            log.info("provider_retry", model=profile.name, retry=retries, delay_seconds=round(delay_seconds, 3))
            await self._sleep(delay_seconds)

    async def _attempt(
        self, profile: ImageModelProfile, request: ProviderRequest, job: "_Job"
    ) -> GeneratedImage | ModelGone | Retryable:
        """One request: turn, exchange, verdict. The verdict goes to log, metrics, roster and breaker."""
        attempt = Attempt(profile, request, job.clock, turn=self._take_turn(request, job.clock, job.still_wanted))
        log.info(
            "provider_asked",
            model=profile.name,
            waited_seconds=round(attempt.turn.waited_seconds, 3),
            image_count=request.image_count,
        )
        outcome, reason = TurnOutcome.UNKNOWN, ""
        try:
            verdict = await self._wire.exchange(attempt)
            self._note(attempt, verdict, job.times)
            if isinstance(verdict, ModelGone):
                leave_out = self._roster.retire if verdict.for_good else self._roster.set_aside
                leave_out(profile, reason=verdict.failure.reason)
            outcome, reason = self._about_account(verdict)
        finally:
            self._turns.report(attempt.turn, outcome, reason)
        if isinstance(verdict, Failure):
            raise verdict
        return verdict

    def _take_turn(self, request: ProviderRequest, clock: Deadline, still_wanted: Callable[[], bool]) -> Turn:
        if clock.remaining_seconds() <= 0:
            raise DeadlineExceeded(clock.limit_seconds)
        with clock.paused():
            turn = self._turn(
                lambda: self._turns.acquire(self._cancelled, input_images=request.image_count), still_wanted
            )
            # On the same terms: the answer may be long in coming when the platform is away.
            wanted = self._is_wanted_after(turn, still_wanted)
        if not wanted:
            raise NoLongerWanted
        return turn

    def _turn(self, acquire: Callable[[], Turn], still_wanted: Callable[[], bool]) -> Turn:
        if self._storage is None:
            return acquire()
        return turn_while_stored(
            self._storage, self._turns, acquire, cancelled=self._cancelled, still_wanted=still_wanted
        )

    def _is_wanted_after(self, turn: Turn, still_wanted: Callable[[], bool]) -> bool:
        wanted = False
        try:
            wanted = turn.waited_seconds <= LONG_WAIT_SECONDS or still_wanted()
        finally:
            if not wanted:  # or nobody could say: a probe that is never reported would hold up everybody
                self._turns.report(turn, TurnOutcome.UNKNOWN)
        return wanted

    def _about_account(self, verdict: Verdict) -> tuple[TurnOutcome, str]:
        """What a verdict tells the breaker."""
        match verdict:
            case AccountBlocked():
                return TurnOutcome.BLOCKED, verdict.kind
            case ModelGone() if self._roster.preferred() is None:
                return TurnOutcome.BLOCKED, NoModelLeft.kind
            case Retryable() | DeadlineExceeded() | ModelGone():
                return TurnOutcome.UNKNOWN, ""
            case _:
                return TurnOutcome.ANSWERED, ""

    def _note(self, attempt: Attempt, verdict: Verdict, times: StageTimes) -> None:
        """Log and metrics of one attempt."""
        model = attempt.profile.name
        spent_seconds = time.monotonic() - attempt.turn.slot.opens_at
        times.add(Stage.TURN, attempt.turn.waited_seconds)
        times.add(Stage.PROVIDER, spent_seconds)
        seconds = round(spent_seconds, 3)
        if isinstance(verdict, GeneratedImage):
            self._on_attempt(model, HTTPStatus.OK, SUCCESS)
            log.info(
                "provider_image_made",
                model=model,
                seconds=seconds,
                image_bytes=len(verdict.jpeg),
                **verdict.told_cost,
            )
            return
        failure = verdict.failure if isinstance(verdict, ModelGone | Retryable) else verdict
        kind = failure.kind
        if isinstance(verdict, ModelGone):
            kind = MODEL_GONE if verdict.for_good else MODEL_REFUSED
        status = failure.status if isinstance(failure, ProviderFailure) else None
        self._on_attempt(model, status, kind)
        log.warning(
            "provider_attempt_failed",
            model=model,
            seconds=seconds,
            kind=kind,
            status=status,
            reason=str(failure),
            provider_request_id=failure.provider_request_id if isinstance(failure, ProviderFailure) else None,
            **attempt.noted_headers,
        )
