"""Has Meta deliver what is in the queue: a thread that looks, sends, and waits as ``answers`` says."""

import random
import threading
import time
from collections.abc import Callable, Sequence
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
        self._answered: dict[int, bool] = {}
        """What Meta has accepted (True) or refused for good, by id, while the queue cannot take it out: on a full disk
        it would be sent again every few seconds."""
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
        """Send what may be sent now, one message for each recipient; returns the seconds until the next look is due."""
        expired = self._queue.expire(self._now())
        if expired:
            self._metrics.messages.labels("expired").inc(expired)
            log.error(
                "messages_too_old", messages=expired, advice="They were never accepted. The lines before say why."
            )
        if not self._settings.can_send:
            return LOOK_SECONDS
        waits = [LOOK_SECONDS]
        for message in sorted(self._queue.heads(), key=self._turn):
            if self._stopping:
                break
            wait_seconds = self._due_in(message)
            if wait_seconds <= 0:
                self._handle(message)
                wait_seconds = 0.0
            waits.append(wait_seconds)
        return min(waits)

    def _turn(self, head: Waiting) -> tuple[bool, bool, int]:
        """What failed last comes late, so that one message that Meta cannot take does not stand in everybody's way;
        what the queue could not take out comes last, for it ends the round if it still cannot."""
        return head.id in self._answered, head.id == self._failed_last, head.id

    def _due_in(self, message: Waiting) -> float:
        if message.id in self._answered:
            return 0.0
        ticks, now = self._ticks(), self._now()
        recipient = self._recipients.setdefault(message.recipient, _Recipient())
        pair_wait = pacing.earliest(message.lent_until_seconds, now) - now
        return max(self._not_before - ticks, recipient.not_before - ticks, pair_wait, 0.0)

    def _handle(self, message: Waiting) -> None:
        if message.id in self._answered:
            self._take_out(message)
            return
        if message.recipient not in self._settings.recipients:
            self._queue.remove(message)
            self._metrics.messages.labels("refused").inc()
            log.warning("recipient_gone", to=masked(message.recipient), advice="It is no more in WHATSAPP_RECIPIENTS.")
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
        self._answered[message.id] = True
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
        self._take_out(message)

    def _refuse(self, message: Waiting, verdict: Verdict) -> None:
        self._answered[message.id] = False
        self._metrics.messages.labels("refused").inc()
        # The whole text: the log is now the only place that has it.
        log.error("message_refused", **_facts(message, verdict), text=list(message.parameters))
        self._take_out(message)

    def _take_out(self, message: Waiting) -> None:
        """Raises ``QueueUnusable`` when the queue cannot; the next round tries again, and sends nothing for it."""
        if self._answered[message.id]:
            self._queue.accepted(message, self._now())
        else:
            self._queue.remove(message)
        del self._answered[message.id]

    def _hold_recipient(self, message: Waiting, verdict: Verdict) -> None:
        if verdict.rule.result is Result.UNKNOWN:
            if message.unreadable_answers + 1 >= UNREADABLE_ANSWERS_MAX:
                self._refuse(message, verdict)
                return
            self._queue.count_unreadable(message)
        recipient = self._recipients[message.recipient]
        recipient.failures += 1
        wait = pacing.at_least(
            pacing.pair_retry_seconds(recipient.failures, self._chance.random()), verdict.retry_after_seconds
        )
        recipient.not_before = self._ticks() + wait
        log.warning("recipient_waits", **_facts(message, verdict), again_in_seconds=round(wait, 1))

    def _hold_all(self, message: Waiting, verdict: Verdict) -> None:
        needs_operator = verdict.rule.action is Action.WAIT_FOR_OPERATOR
        self._failures += 1
        chance = self._chance.random()
        wait = pacing.operator_seconds(chance) if needs_operator else pacing.retry_seconds(self._failures, chance)
        wait = pacing.at_least(wait, verdict.retry_after_seconds)
        self._not_before, self._failed_last, self.blocked = self._ticks() + wait, message.id, verdict
        tell = log.error if needs_operator else log.warning
        tell("nothing_is_sent", **_facts(message, verdict), again_in_seconds=round(wait, 1))


def _facts(message: Waiting, verdict: Verdict) -> dict[str, object]:
    return {
        "to": masked(message.recipient),
        "message": message.parameters[0],
        "result": verdict.rule.result.value,
        "code": verdict.code,
        "details": verdict.details,
        "advice": verdict.rule.advice,
    }
