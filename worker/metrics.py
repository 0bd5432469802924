"""The worker's own counters and gauges, kept in the main process.

Alerts are built on these: every series of a counter is there from the first scrape, and gauges are asked at each. The
Celery process sends its measurements over the link, so that one ``/metrics`` shows everything and a restarted child
resets nothing.
"""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final, assert_never, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from models.generation import Channel
from models.health import Component, HealthReport
from models.image_models import TOKEN_KINDS
from models.stages import Stage
from services.providers.attempt_codes import ATTEMPT_CODES
from worker.build_info import BuildInfo
from worker.executor_state import STATES_TO_REPLACE
from worker.fresh_gauge import FreshGauge
from worker.samples import (
    BURIAL_REASONS,
    FAILURE_REASONS,
    OTHER_PAUSE,
    PAUSE_REASONS,
    REFUND_KINDS,
    ChargeUndone,
    ErrorUnforeseen,
    GenerationEnded,
    GenerationTimed,
    LetterBuried,
    ModelRetired,
    ModelsLeft,
    PictureBilled,
    ProviderAsked,
    RecoveryAction,
    Sample,
    StagesTimed,
    TasksRecovered,
    UnforeseenPlace,
)

DURATION_BUCKETS_SECONDS: Final = (5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 90, 120, 180, 300, 600)
"""Around NFR-1.1's 45 s, up to the task limit and a wait before it."""

STAGE_BUCKETS_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 45, 60, 120, 300, 600)
"""From a free gate and a download next door to the platform's ten minutes, after which nobody waits any more."""

WATCHED_FRESH_SECONDS: Final = 30.0
"""Two looks of ``worker/supervision/queue_watch.py`` and their time limits; an older value says nothing of now."""

AUDIT_FRESH_SECONDS: Final = 9_000.0
"""Two audits of ``worker/supervision/ledger_watch.py`` and half an hour: one that failed is no gap in a graph."""


class Metrics:
    """All metrics of one worker.

    Args:
        registry: where they are kept.
        models: names of the configured image models.
    """

    def __init__(self, registry: CollectorRegistry, models: Iterable[str] = ()) -> None:
        models = tuple(models)
        # Else the library adds to each series another with the time of its birth, which nothing here asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.generations = Counter(
            "wearon_generation",
            "Sessions settled by this worker, by channel, outcome and reason.",
            ["channel", "outcome", "reason"],
            registry=registry,
        )
        self.refunds = Counter("wearon_refund", "Charges undone, by what was charged.", ["kind"], registry=registry)
        self.provider_requests = Counter(
            "wearon_openai_requests", "Requests to the image provider.", ["model", "code"], registry=registry
        )
        self.tokens = Counter(
            "wearon_openai_tokens", "Tokens that the provider bills.", ["model", "kind"], registry=registry
        )
        self.cost = Counter(
            "wearon_openai_cost_dollars",
            "What the pictures cost, in US dollars: an estimate, the provider's bill decides.",
            ["channel", "model"],
            registry=registry,
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
            ["channel"],
            buckets=DURATION_BUCKETS_SECONDS,
            registry=registry,
        )
        self.stages = Histogram(
            "wearon_stage_duration_seconds",
            "What each stage of a task took.",
            ["stage"],
            buckets=STAGE_BUCKETS_SECONDS,
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
        self._watched = partial(FreshGauge, registry, fresh_seconds=WATCHED_FRESH_SECONDS)
        self.backlog = self._watched("wearon_backlog", "Tasks waiting in the platform's queue; absent while unknown.")
        self.oldest_waiting = self._watched(
            "wearon_oldest_waiting_seconds",
            "Age of the task that has waited longest, 0 when none waits; absent while unknown.",
        )
        self.rate_window = self._watched(
            "wearon_rate_window_requests",
            "Turns that all workers took at the provider in the last 60 s; absent while unknown.",
        )
        self.rate_window_limit = Gauge(
            "wearon_rate_window_limit_requests",
            "How many turns all workers may take at the provider in 60 s.",
            registry=registry,
        )
        self.provider_paused = Gauge(
            "wearon_provider_paused", "1 while calls to the provider are paused for it.", ["reason"], registry=registry
        )
        self.models_left = Gauge(
            "wearon_openai_models_left", "Configured models that the provider still lets us use.", registry=registry
        )
        self.ledger_faults = FreshGauge(
            registry,
            "wearon_ledger_faults",
            "Findings of the last audit of the ledger; absent while unknown.",
            fresh_seconds=AUDIT_FRESH_SECONDS,
        )
        self.ledger_audited_at = FreshGauge(
            registry,
            "wearon_ledger_audit_last_success_timestamp_seconds",
            "When the ledger was last audited; absent before the first time.",
            fresh_seconds=math.inf,
        )
        self.component_up = Gauge("wearon_component_up", "1 when the part works.", ["component"], registry=registry)
        self.starting = Gauge("wearon_starting", "1 while the worker is not ready yet.", registry=registry)
        self.draining = Gauge("wearon_draining", "1 once the worker was told to stop.", registry=registry)
        self.build = Gauge(
            "wearon_build_info",
            "1; the version and the commit it was built from.",
            ["version", "commit"],
            registry=registry,
        )
        self._start_at_zero(models)
        self.models_left.set(len(models))

    def _start_at_zero(self, models: Iterable[str]) -> None:
        """Make every series of the closed sets: an alert on increase() sees nothing when a series is born at 1."""
        for channel in Channel:
            self.generations.labels(channel, "completed", "")
            for reason in FAILURE_REASONS:
                self.generations.labels(channel, "failed", reason)
            self.duration.labels(channel)
        for model in models:
            self._start_model_at_zero(model)
        for metric, values in (
            (self.refunds, REFUND_KINDS),
            (self.dead_letters, BURIAL_REASONS),
            (self.recovered, get_args(RecoveryAction)),
            (self.executor_restarts, [state.value for state in STATES_TO_REPLACE]),
            (self.unforeseen, get_args(UnforeseenPlace)),
            (self.stages, Stage),
            (self.provider_paused, PAUSE_REASONS),
        ):
            for value in values:
                metric.labels(value)

    def _start_model_at_zero(self, model: str) -> None:
        self.models_gone.labels(model)
        for code in ATTEMPT_CODES:
            self.provider_requests.labels(model, code)
        for kind in TOKEN_KINDS:
            self.tokens.labels(model, kind)
        for channel in Channel:
            self.cost.labels(channel, model)

    def show_parts(self, report: Callable[[], HealthReport]) -> None:
        """Have every scrape ask what works, so that no gauge outlives what it was set from."""
        for component in Component:
            self.component_up.labels(component.value).set_function(partial(_is_up, report, component))
        self.starting.set_function(lambda: float(report().starting))
        self.draining.set_function(lambda: float(report().draining))

    def show_tasks(self, in_flight: Callable[[], int]) -> None:
        """Have every scrape ask how many tasks are taken and not finished."""
        self.running.set_function(lambda: float(in_flight()))

    def show_pause(self, reason: str | None) -> None:
        """Enter for which kind of failure calls to the provider are paused; ``None``: they are not."""
        paused_for = reason if reason is None or reason in PAUSE_REASONS else OTHER_PAUSE
        for each in PAUSE_REASONS:
            self.provider_paused.labels(each).set(each == paused_for)

    def show_ledger(self, faults: int, audited_at: datetime) -> None:
        """Enter what an audit of the ledger found, and when."""
        self.ledger_faults.set(faults)
        self.ledger_audited_at.set(audited_at.timestamp())

    def show_build(self, build: BuildInfo) -> None:
        """Enter what this process was built from."""
        self.build.labels(build.version, build.commit).set(1)

    def show_model_shutdown(self, model: str, shutdown: datetime | None) -> None:
        """Enter when a model will be gone; without a date it has no series."""
        if shutdown is None:
            self.model_shutdown.remove(model)
        else:
            self.model_shutdown.labels(model).set(shutdown.timestamp())

    def record(self, sample: Sample) -> None:
        """Enter one sample."""
        match sample:
            case GenerationEnded() | GenerationTimed() | StagesTimed() | PictureBilled():
                self._record_generation(sample)
            case ProviderAsked(model, code):
                self.provider_requests.labels(model, code).inc()
            case ModelRetired(model):
                self.models_gone.labels(model).inc()
            case ModelsLeft(count):
                self.models_left.set(count)
            case ChargeUndone(kind):
                self.refunds.labels(kind).inc()
            case LetterBuried(reason):
                self.dead_letters.labels(reason).inc()
            case TasksRecovered(action, count):
                self.recovered.labels(action).inc(count)
            case ErrorUnforeseen(where):
                self.unforeseen.labels(where).inc()
            case _:
                assert_never(sample)

    def _record_generation(self, sample: GenerationEnded | GenerationTimed | StagesTimed | PictureBilled) -> None:
        match sample:
            case GenerationEnded(channel, outcome, reason):
                self.generations.labels(channel, outcome, reason).inc()
            case GenerationTimed(channel, seconds):
                self.duration.labels(channel).observe(seconds)
            case StagesTimed(spent):
                for stage, seconds in spent.items():
                    self.stages.labels(stage).observe(seconds)
            case PictureBilled(channel, model, tokens, cost_dollars):
                for kind, count in tokens.items():
                    self.tokens.labels(model, kind).inc(count)
                self.cost.labels(channel, model).inc(cost_dollars)


def _is_up(report: Callable[[], HealthReport], component: Component) -> float:
    return float(report().parts[component])
