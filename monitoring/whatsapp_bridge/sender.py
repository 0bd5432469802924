"""Has Meta deliver what is in the queue: a thread that looks, sends, and waits as ``answers`` says."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from monitoring.whatsapp_bridge import pacing
from monitoring.whatsapp_bridge.answers import Action, Result, Verdict
from monitoring.whatsapp_bridge.message_queue import MessageQueue, QueueUnusable, Waiting
from monitoring.whatsapp_bridge.metrics import Metrics
from monitoring.whatsapp_bridge.settings import Settings, masked

LOOK_SECONDS: Final = 5.0
"""Between two looks when nobody calls; messages grow too old meanwhile, and limits pass."""

UNREADABLE_ANSWERS_MAX: Final = 5
"""After so many answers with a code that is in no table a message is given up, so that others get their turn."""

log = structlog.get_logger()


class Api(Protocol):
    """What sends."""

    def send(self, parameters: Sequence[str], to: str) -> Verdict:
        """Have one message delivered to one number."""


@dataclass(slots=True)
class _Recipient:
    """How it stands with one recipient, in this process's life."""

    failures: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class _Answered:
    """A message that is over: Meta has accepted it, or it is given up."""

    message: Waiting
    is_accepted: bool


class Sender:
    """One sends at a time, so that the order per recipient is kept.

    Args:
        queue: where messages wait.
        api: what sends.
        settings: whether, and to whom.
        metrics: what is counted.
        now_seconds: the time since 1970, for what is on disk.
        ticks_seconds: a clock that nobody puts back, for waits.
    """

    def __init__(
        self,
        queue: MessageQueue,
        api: Api,
        settings: Settings,
        metrics: Metrics,
        *,
        now_seconds: Callable[[], float] = time.time,
        ticks_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._api, self._settings, self._metrics = queue, api, settings, metrics
        self._now, self._ticks = now_seconds, ticks_seconds
        self._chance = random.Random()  # noqa: S311 - jitter
        self._recipients: dict[str, _Recipient] = {}
        self._answered: dict[int, _Answered] = {}
        """What is over, by id, while the queue cannot take it out: on a full disk it would be sent again every few
        seconds."""
        self._failures = 0
        self._not_before = 0.0
        self._failed_last = 0
        self._called = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self.blocked: Verdict | None = None
        """Why nobody gets anything now; None while all is well."""
        self.fault = ""
        """An error of ours that ended the last round; empty when it ended well."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def call(self) -> None:
        """There is something new to send."""
        self._called.set()

    def stop(self, within_seconds: float) -> None:
        """End after the call to Meta that is under way."""
        self._stopping = True
        log.info("stopping")
        self._called.set()
        self._thread.join(within_seconds)

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._called.clear()
            self._called.wait(min(self._guarded_round(), LOOK_SECONDS))

    def _guarded_round(self) -> float:
        """A round that ends well or says what is wrong: a thread that has ended sends nothing any more."""
        try:
            wait_seconds = self.round()
        except QueueUnusable as error:
            self.fault = str(error)
            log.error("queue_unusable", error=self.fault, advice="See the disk and the volume whatsapp-queue.")
        except Exception as error:  # whatever it is, the next round may work
            self.fault = f"{type(error).__name__} in the sender; the log has it whole"
            log.exception("unforeseen_error", advice="Restart the bridge; if it stays, report this line.")
        else:
            self.fault = ""
            return wait_seconds
        return LOOK_SECONDS

    def round(self) -> float:
        """Send what may be sent now, one message for each recipient; returns the seconds until the next look is due.

        Raises:
            QueueUnusable: it could not be written; whatever could be read was sent all the same.
        """
        faults: list[QueueUnusable] = []
        with _noted(faults):
            self._expire()
        if not self._settings.can_send:
            return LOOK_SECONDS
        for answered in list(self._answered.values()):
            with _noted(faults):
                self._take_out(answered)
        waits = [LOOK_SECONDS]
        for message in sorted(self._queue.heads(without=self._answered), key=self._turn):
            if self._stopping:
                break
            wait_seconds = self._due_in(message)
            if wait_seconds <= 0:
                with _noted(faults):
                    self._handle(message)
                wait_seconds = 0.0
            waits.append(wait_seconds)
        if faults:
            raise faults[0]
        return min(waits)

    def _expire(self) -> None:
        expired = self._queue.expire(self._now())
        if expired:
            self._metrics.messages.labels("expired").inc(expired)
            log.error(
                "messages_too_old", messages=expired, advice="They were never accepted. The lines before say why."
            )

    def _turn(self, head: Waiting) -> tuple[bool, int]:
        """What failed last comes late, so that one message that Meta cannot take does not stand in everybody's way."""
        return head.id == self._failed_last, head.id

    def _due_in(self, message: Waiting) -> float:
        ticks, now = self._ticks(), self._now()
        recipient = self._recipients.setdefault(message.recipient, _Recipient())
        pair_wait = pacing.earliest(message.lent_until_seconds, now) - now
        return max(self._not_before - ticks, recipient.not_before - ticks, pair_wait, 0.0)

    def _handle(self, message: Waiting) -> None:
        if message.recipient not in self._settings.recipients:
            self._metrics.messages.labels("refused").inc()
            log.warning("recipient_gone", to=masked(message.recipient), advice="It is no more in WHATSAPP_RECIPIENTS.")
            self._is_over(message, is_accepted=False)
            return
        verdict = self._api.send(message.parameters, message.recipient)
        self._metrics.requests.labels(verdict.rule.result.value).inc()
        if verdict.rule.action is Action.DONE:
            self._accept(message)
        elif verdict.rule.action is Action.REFUSE:
            self._refuse(message, verdict)
        elif verdict.rule.action is Action.RETRY_RECIPIENT:
            self._hold_recipient(message, verdict)
        else:
            self._hold_all(message, verdict)

    def _accept(self, message: Waiting) -> None:
        self._metrics.messages.labels("accepted").inc()
        self._failures, self._not_before, self.blocked = 0, 0.0, None
        self._recipients[message.recipient] = _Recipient()
        waited_seconds = round(self._now() - message.taken_at_seconds, 1)
        log.info(
            "message_accepted",
            to=masked(message.recipient),
            message=message.parameters[0],
            waited_seconds=waited_seconds,
        )
        self._is_over(message, is_accepted=True)

    def _refuse(self, message: Waiting, verdict: Verdict) -> None:
        self._metrics.messages.labels("refused").inc()
        # The whole text: the log is now the only place that has it.
        log.error("message_refused", **_facts(message, verdict), text=list(message.parameters))
        self._is_over(message, is_accepted=False)

    def _is_over(self, message: Waiting, *, is_accepted: bool) -> None:
        """Raises ``QueueUnusable`` when it cannot be taken out; each round tries that again, and sends nothing."""
        self._answered[message.id] = _Answered(message, is_accepted)
        self._take_out(self._answered[message.id])

    def _take_out(self, answered: _Answered) -> None:
        if answered.is_accepted:
            self._queue.accepted(answered.message, self._now())
        else:
            self._queue.remove(answered.message)
        del self._answered[answered.message.id]

    def _hold_recipient(self, message: Waiting, verdict: Verdict) -> None:
        is_unknown = verdict.rule.result is Result.UNKNOWN
        if is_unknown and message.unreadable_answers + 1 >= UNREADABLE_ANSWERS_MAX:
            self._refuse(message, verdict)
            return
        recipient = self._recipients[message.recipient]
        recipient.failures += 1
        wait = pacing.at_least(
            pacing.pair_retry_seconds(recipient.failures, self._chance.random()), verdict.retry_after_seconds
        )
        recipient.not_before = self._ticks() + wait
        log.warning("recipient_waits", **_facts(message, verdict), again_in_seconds=round(wait, 1))
        if is_unknown:
            self._queue.count_unreadable(message)  # last, for a full disk must not undo the wait

    def _hold_all(self, message: Waiting, verdict: Verdict) -> None:
        needs_operator = verdict.rule.action is Action.WAIT_FOR_OPERATOR
        self._failures += 1
        chance = self._chance.random()
        wait = pacing.operator_seconds(chance) if needs_operator else pacing.retry_seconds(self._failures, chance)
        wait = pacing.at_least(wait, verdict.retry_after_seconds)
        self._not_before, self._failed_last, self.blocked = self._ticks() + wait, message.id, verdict
        tell = log.error if needs_operator else log.warning
        tell("nothing_is_sent", **_facts(message, verdict), again_in_seconds=round(wait, 1))


@contextmanager
def _noted(faults: list[QueueUnusable]) -> Iterator[None]:
    """A queue that cannot be written is told at the round's end; the messages of others are sent before."""
    try:
        yield
    except QueueUnusable as error:
        faults.append(error)


def _facts(message: Waiting, verdict: Verdict) -> dict[str, object]:
    return {
        "to": masked(message.recipient),
        "message": message.parameters[0],
        "result": verdict.rule.result.value,
        "code": verdict.code,
        "details": verdict.details,
        "advice": verdict.rule.advice,
    }
