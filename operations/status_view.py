"""``wearon status`` as text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from operations.text import Paint, Tone, columns, duration, labelled, moment, safe, short, wrapped
from services.platform.report_answers import Activity, ExecutorSeen
from services.turns.provider_report import Pause

PROMISED_P95_SECONDS: Final = 45
"""NFR-1.1."""

OLDEST_SHOWN_CALMLY_SECONDS: Final = 45
"""A task that has waited as long as the whole may take is worth a colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """What the worker of this host says: ``health`` is its answer, ``line`` the same in words."""

    url: str
    health: Mapping[str, Any] | None
    is_well: bool
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What is in Redis. ``oldest_seconds``: how long the task that is taken next has waited, where it says its time."""

    waiting: int
    oldest_seconds: float | None
    in_flight: Mapping[UUID, int]
    dead_letters: int
    pause: Pause | None
    turns_taken: int
    turns_per_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The configured image models; what became of them is known only while the worker of this host answers. In use is
    the first that can be; ``unusable`` has the reason for each that cannot."""

    in_use: str | None
    configured: tuple[str, ...]
    unusable: Mapping[str, str]
    shutdowns: Mapping[str, datetime]
    are_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything; ``silent`` names what did not answer, with the reason, and its part is ``None``."""

    at: datetime
    worker: WorkerState
    queue: QueueState | None
    models: Models
    activity: Activity | None
    silent: Mapping[str, str]


def screen(status: Status, paint: Paint) -> list[str]:
    """The lines."""
    return [
        labelled(paint, "at", moment(status.at)),
        labelled(paint, "worker", *_worker(status.worker)),
        *_queue(status, paint),
        labelled(paint, "model", *_models(status.models)),
        *_activity(status, paint),
        *_executors(status, paint),
    ]


def _worker(worker: WorkerState) -> tuple[str, Tone]:
    if worker.health is None:
        return worker.line, Tone.WARNING
    return f"{safe(worker.line)} ({worker.url})", Tone.GOOD if worker.is_well else Tone.BAD


def _queue(status: Status, paint: Paint) -> Iterator[str]:
    queue = status.queue
    if queue is None:
        yield from wrapped(paint, "queue", status.silent.get("redis", ""), Tone.BAD)
        return
    yield labelled(paint, "queue", *_waiting(queue))
    yield labelled(paint, "calls", *_calls(queue))
    letters = f"{queue.dead_letters} (wearon dead-letters list)" if queue.dead_letters else "none"
    yield labelled(paint, "dead letters", letters, Tone.WARNING if queue.dead_letters else None)


def _waiting(queue: QueueState) -> tuple[str, Tone | None]:
    if not queue.waiting:
        return "empty", None
    if queue.oldest_seconds is None:
        return f"{queue.waiting} waiting; the next is no task that says its time", Tone.WARNING
    late = queue.oldest_seconds > OLDEST_SHOWN_CALMLY_SECONDS
    return f"{queue.waiting} waiting, the oldest for {duration(queue.oldest_seconds)}", Tone.WARNING if late else None


def _calls(queue: QueueState) -> tuple[str, Tone | None]:
    turns = f"{queue.turns_taken} of {queue.turns_per_minute} turns of this minute used"
    if queue.pause is None:
        return f"go on; {turns}", None
    if queue.pause.is_probing:
        then = "a call is just probing"
    elif queue.pause.seconds_left:
        then = f"the next call probes in {duration(queue.pause.seconds_left)}"
    else:
        then = "the next task probes"
    return f"PAUSED on all hosts: {safe(queue.pause.reason)}; {then}; {turns}", Tone.BAD


def _models(models: Models) -> tuple[str, Tone | None]:
    if not models.are_known:
        return f"{', '.join(models.configured)} (configured; when they end, only the worker knows)", Tone.FAINT
    if models.in_use is None:
        return f"none can be used: {', '.join(_model(model, models) for model in models.configured)}", Tone.BAD
    described = [_model(model, models) for model in models.configured]
    return "; then ".join(described), Tone.WARNING if models.unusable or models.in_use in models.shutdowns else None


def _model(model: str, models: Models) -> str:
    if model in models.unusable:
        return f"{model} ({models.unusable[model]})"
    if model in models.shutdowns:
        return f"{model} (shut down on {models.shutdowns[model]:%Y-%m-%d})"
    return f"{model} (no end announced)"


def _activity(status: Status, paint: Paint) -> Iterator[str]:
    activity = status.activity
    if activity is None:
        yield from wrapped(paint, "database", status.silent.get("database", ""), Tone.BAD)
        return
    yield labelled(paint, "open", _open(activity))
    yield labelled(paint, "last hour", *_outcomes(activity))
    if activity.whole_p50_seconds is not None and activity.whole_p95_seconds is not None:
        p50, p95 = activity.whole_p50_seconds, activity.whole_p95_seconds
        late = p95 >= PROMISED_P95_SECONDS
        yield labelled(
            paint,
            "",
            f"order to picture: P50 {p50:.1f} s, P95 {p95:.1f} s (promised: below {PROMISED_P95_SECONDS} s)",
            Tone.WARNING if late else None,
        )
    if activity.processing_p50_seconds is not None and activity.processing_p95_seconds is not None:
        p50, p95 = activity.processing_p50_seconds, activity.processing_p95_seconds
        yield labelled(paint, "", f"the run alone:    P50 {p50:.1f} s, P95 {p95:.1f} s")


def _open(activity: Activity) -> str:
    if activity.oldest_open_at is None:
        return "no session"
    oldest = duration((activity.now - activity.oldest_open_at).total_seconds())
    return f"{activity.queued} queued, {activity.processing} processing, the oldest for {oldest}"


def _outcomes(activity: Activity) -> tuple[str, Tone | None]:
    failed = sum(activity.failed.values())
    if not failed:
        return f"{activity.completed} completed, none failed", None
    reasons = sorted(activity.failed.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{safe(reason)} {number}" for reason, number in reasons)
    return f"{activity.completed} completed, {failed} failed ({named})", Tone.WARNING


def _executors(status: Status, paint: Paint) -> Iterator[str]:
    in_flight = dict(status.queue.in_flight) if status.queue is not None else {}
    seen = {each.executor: each for each in status.activity.executors} if status.activity is not None else {}
    rows = []
    for executor in [*seen, *(each for each, number in in_flight.items() if number and each not in seen)]:
        known = seen.get(executor)
        rows.append(
            (
                short(executor),
                "-" if known is None else safe(known.host),
                str(in_flight.get(executor, 0)) if status.queue is not None else "?",
                "-" if known is None else str(known.claims),
                _unknown(status) if known is None else _lease(known),
            )
        )
    if not rows:
        if status.activity is not None:
            yield labelled(paint, "workers", "none is alive", Tone.BAD)
        return
    yield ""
    head, *lines = columns([("EXECUTOR", "HOST", "IN FLIGHT", "HELD", "LEASE"), *rows])
    yield paint(head, Tone.HEADING)
    yield from lines
    if status.activity is not None and not any(each.alive for each in seen.values()):
        yield paint("No worker is alive.", Tone.BAD)


def _lease(executor: ExecutorSeen) -> str:
    if not executor.alive:
        return "dead; the next living worker takes its work over"
    seconds = executor.lease_seconds
    return f"{seconds:.0f} s left" if seconds >= 0 else f"ran out {duration(-seconds)} ago"


def _unknown(status: Status) -> str:
    return "unknown" if status.activity is None else "dead; its tasks go back to the queue"
