"""The worker's own counters, kept in the main process and all starting at zero.

Alerts are built on these. The Celery process sends its measurements over the link, so that one ``/metrics`` shows
everything and a restarted child resets nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from models.health import Component, HealthReport
from worker.measurements import (
    ChargeUndone,
    GenerationEnded,
    GenerationTimed,
    LetterBuried,
    Measurement,
    ModelRetired,
    ProviderAsked,
    TasksRecovered,
    TurnTaken,
)

REFUND_KINDS: Final = (
    *("user_credit", "store_credit", "shopper_credit", "store_overage"),
    *("unproven_charge", "nothing_charged", "already_refunded"),
)
"""What a failure can answer about its charge (``wearon_worker_fail_v2``)."""

DURATION_BUCKETS_SECONDS: Final = (5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 90, 120, 180, 300, 600)
"""Around NFR-1.1's 45 s, up to the task limit and a wait before it."""


class Metrics:
    """All metrics of one worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.generations = Counter(
            "wearon_generation",
            "Generations that ended, by outcome and reason.",
            ["outcome", "reason"],
            registry=registry,
        )
        self.refunds = Counter("wearon_refund", "Charges undone, by what was charged.", ["kind"], registry=registry)
        self.provider_requests = Counter(
            "wearon_openai_requests", "Requests to the image provider.", ["model", "code"], registry=registry
        )
        self.models_gone = Counter(
            "wearon_model_gone", "Image models the provider no longer has.", ["model"], registry=registry
        )
        self.duration = Histogram(
            "wearon_generation_duration_seconds",
            "From the platform's request to the finished picture.",
            buckets=DURATION_BUCKETS_SECONDS,
            registry=registry,
        )
        self.turn_wait = Histogram("wearon_turn_wait_seconds", "Waiting for a turn at the provider.", registry=registry)
        self.dead_letters = Counter("wearon_dead_letters", "Bad queue elements.", ["reason"], registry=registry)
        self.recovered = Counter(
            "wearon_recovered",
            "Tasks given back after a death, and sessions settled that had lost theirs.",
            ["action"],
            registry=registry,
        )
        self.executor_restarts = Counter(
            "wearon_executor_restarts", "Celery processes replaced.", ["reason"], registry=registry
        )
        self.running = Gauge("wearon_tasks_in_flight", "Tasks taken and not finished.", registry=registry)
        self.backlog = Gauge("wearon_backlog", "Tasks waiting in the platform's queue.", registry=registry)
        self.component_up = Gauge("wearon_component_up", "1 when the part works.", ["component"], registry=registry)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        # An alert on increase() sees nothing when a series is born at 1.
        self.generations.labels("completed", "")
        for kind in REFUND_KINDS:
            self.refunds.labels(kind)
        for action in ("handed_back", "settled_lost_session"):
            self.recovered.labels(action)

    def show_parts(self, report: Callable[[], HealthReport]) -> None:
        """Have every scrape ask what works, so that no gauge outlives what it was set from."""
        for component in Component:
            self.component_up.labels(component.value).set_function(partial(_is_up, report, component))

    def measure(self, measured: Measurement) -> None:
        """Enter one measurement."""
        match measured:
            case GenerationEnded(outcome, reason):
                self.generations.labels(outcome, reason).inc()
            case GenerationTimed(seconds):
                self.duration.observe(seconds)
            case ChargeUndone(kind):
                self.refunds.labels(kind).inc()
            case ProviderAsked(model, code):
                self.provider_requests.labels(model, code).inc()
            case ModelRetired(model):
                self.models_gone.labels(model).inc()
            case TurnTaken(waited_seconds):
                self.turn_wait.observe(waited_seconds)
            case LetterBuried(reason):
                self.dead_letters.labels(reason).inc()
            case TasksRecovered(action, count):
                self.recovered.labels(action).inc(count)
            case _:
                assert_never(measured)


def _is_up(report: Callable[[], HealthReport], component: Component) -> float:
    return float(report().parts[component])
