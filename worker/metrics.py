"""The worker's own counters and gauges, kept in the main process.

Alerts are built on these: every series of a counter is there from the first scrape, and gauges are asked at each. The
Celery process sends its measurements over the link, so that one ``/metrics`` shows everything and a restarted child
resets nothing.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final, assert_never, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from models.health import Component, HealthReport
from services.providers.attempt_codes import ATTEMPT_CODES
from worker.backlog_gauge import BacklogGauge
from worker.executor_state import STATES_TO_REPLACE
from worker.samples import (
    BURIAL_REASONS,
    FAILURE_REASONS,
    REFUND_KINDS,
    ChargeUndone,
    ErrorUnforeseen,
    GenerationEnded,
    GenerationTimed,
    LetterBuried,
    ModelRetired,
    ProviderAsked,
    RecoveryAction,
    Sample,
    TasksRecovered,
    TurnTaken,
    UnforeseenPlace,
)

DURATION_BUCKETS_SECONDS: Final = (5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 90, 120, 180, 300, 600)
"""Around NFR-1.1's 45 s, up to the task limit and a wait before it."""

TURN_WAIT_BUCKETS_SECONDS: Final = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
"""From a free gate to the platform's ten minutes, after which nobody waits any more."""


class Metrics:
    """All metrics of one worker.

    Args:
        registry: where they are kept.
        models: names of the configured image models.
    """

    def __init__(self, registry: CollectorRegistry, models: Iterable[str] = ()) -> None:
        # Else the library adds to each series another with the time of its birth, which nothing here asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
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
        self.model_shutdown = Gauge(
            "wearon_openai_model_shutdown_timestamp_seconds",
            "When the provider will shut a configured model down, where it has announced it.",
            ["model"],
            registry=registry,
        )
        self.duration = Histogram(
            "wearon_generation_duration_seconds",
            "From the platform's request to the finished picture.",
            buckets=DURATION_BUCKETS_SECONDS,
            registry=registry,
        )
        self.turn_wait = Histogram(
            "wearon_turn_wait_seconds",
            "What each request to the provider had waited for its turn.",
            buckets=TURN_WAIT_BUCKETS_SECONDS,
            registry=registry,
        )
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
        self.unforeseen = Counter(
            "wearon_unforeseen_errors", "Faults of ours that were survived.", ["where"], registry=registry
        )
        self.running = Gauge("wearon_tasks_in_flight", "Tasks taken and not finished.", registry=registry)
        self.backlog = BacklogGauge(registry)
        self.component_up = Gauge("wearon_component_up", "1 when the part works.", ["component"], registry=registry)
        self.starting = Gauge("wearon_starting", "1 while the worker is not ready yet.", registry=registry)
        self.draining = Gauge("wearon_draining", "1 once the worker was told to stop.", registry=registry)
        self._start_at_zero(models)

    def _start_at_zero(self, models: Iterable[str]) -> None:
        """Make every series of the closed sets: an alert on increase() sees nothing when a series is born at 1."""
        self.generations.labels("completed", "")
        for reason in FAILURE_REASONS:
            self.generations.labels("failed", reason)
        for model in models:
            self.models_gone.labels(model)
            for code in ATTEMPT_CODES:
                self.provider_requests.labels(model, code)
        for counter, values in (
            (self.refunds, REFUND_KINDS),
            (self.dead_letters, BURIAL_REASONS),
            (self.recovered, get_args(RecoveryAction)),
            (self.executor_restarts, [state.value for state in STATES_TO_REPLACE]),
            (self.unforeseen, get_args(UnforeseenPlace)),
        ):
            for value in values:
                counter.labels(value)

    def show_parts(self, report: Callable[[], HealthReport]) -> None:
        """Have every scrape ask what works, so that no gauge outlives what it was set from."""
        for component in Component:
            self.component_up.labels(component.value).set_function(partial(_is_up, report, component))
        self.starting.set_function(lambda: float(report().starting))
        self.draining.set_function(lambda: float(report().draining))

    def show_tasks(self, in_flight: Callable[[], int]) -> None:
        """Have every scrape ask how many tasks are taken and not finished."""
        self.running.set_function(lambda: float(in_flight()))

    def show_model_shutdown(self, model: str, shutdown: datetime | None) -> None:
        """Enter when a model will be gone; without a date it has no series."""
        if shutdown is None:
            self.model_shutdown.remove(model)
        else:
            self.model_shutdown.labels(model).set(shutdown.timestamp())

    def record(self, sample: Sample) -> None:
        """Enter one sample."""
        match sample:
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
            case ErrorUnforeseen(where):
                self.unforeseen.labels(where).inc()
            case _:
                assert_never(sample)


def _is_up(report: Callable[[], HealthReport], component: Component) -> float:
    return float(report().parts[component])
