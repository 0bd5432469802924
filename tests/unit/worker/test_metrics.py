"""What is counted, and that it is there before it first happens."""

from collections.abc import Callable
from typing import cast, get_args

import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

import models.problems
import size_rec.problems
from models import failures
from models.failures import Failure, ProviderFailure
from models.health import Component, HealthReport
from models.problems import ProblemKind
from services.providers import attempt_codes
from services.queue.task_queue import TaskQueue
from services.turns.breaker import ProviderBreaker
from size_rec.metrics import SizeMetrics
from size_rec.vocabulary import Refusal
from tests.support.clock import SteppedClock
from worker.backlog_gauge import FRESH_SECONDS, BacklogGauge
from worker.elements import RejectionReason
from worker.executor_state import ExecutorState
from worker.health import HealthBoard
from worker.metrics import DURATION_BUCKETS_SECONDS, Metrics
from worker.samples import (
    REFUND_KINDS,
    ChargeUndone,
    ErrorUnforeseen,
    GenerationEnded,
    GenerationTimed,
    LetterBuried,
    ModelRetired,
    ProviderAsked,
    Sample,
    TasksRecovered,
    TurnTaken,
)
from worker.supervision.queue_watch import QueueWatch


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


COUNTED: list[tuple[Sample, str, dict[str, str]]] = [
    (
        GenerationEnded("failed", "moderated"),
        "wearon_generation_total",
        {"outcome": "failed", "reason": "moderated"},
    ),
    (GenerationEnded("completed"), "wearon_generation_total", {"outcome": "completed", "reason": ""}),
    (ChargeUndone("user_credit"), "wearon_refund_total", {"kind": "user_credit"}),
    (
        ProviderAsked("gpt-image-1.5", "rate_limited"),
        "wearon_openai_requests_total",
        {"model": "gpt-image-1.5", "code": "rate_limited"},
    ),
    (ModelRetired("gpt-image-1.5"), "wearon_model_gone_total", {"model": "gpt-image-1.5"}),
    (LetterBuried("not_json"), "wearon_dead_letters_total", {"reason": "not_json"}),
    (TasksRecovered("settled_lost_session"), "wearon_recovered_total", {"action": "settled_lost_session"}),
    (ErrorUnforeseen("link"), "wearon_unforeseen_errors_total", {"where": "link"}),
]


@pytest.mark.parametrize(("measured", "series", "labels"), COUNTED, ids=lambda value: type(value).__name__)
def test_what_happened_is_added_up(
    metrics: Metrics, registry: CollectorRegistry, measured: Sample, series: str, labels: dict[str, str]
) -> None:
    metrics.record(measured)
    metrics.record(measured)
    assert registry.get_sample_value(series, labels) == 2


def test_tasks_that_were_recovered_together_are_counted_one_by_one(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.record(TasksRecovered("handed_back", 3))
    assert registry.get_sample_value("wearon_recovered_total", {"action": "handed_back"}) == 3


@pytest.mark.parametrize(
    ("timed", "series"),
    [
        (GenerationTimed, "wearon_generation_duration_seconds"),
        (TurnTaken, "wearon_turn_wait_seconds"),
    ],
)
def test_times_go_into_a_histogram(
    metrics: Metrics, registry: CollectorRegistry, timed: Callable[[float], Sample], series: str
) -> None:
    metrics.record(timed(32.0))
    metrics.record(timed(1.0))
    assert registry.get_sample_value(f"{series}_count") == 2
    assert registry.get_sample_value(f"{series}_sum") == 33


def test_the_promised_45_seconds_are_a_bucket_of_their_own(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.record(GenerationTimed(44.9))
    metrics.record(GenerationTimed(45.1))
    assert 45 in DURATION_BUCKETS_SECONDS
    assert registry.get_sample_value("wearon_generation_duration_seconds_bucket", {"le": "45.0"}) == 1


MODELS = ("gpt-image-2.6-sunburst", "gpt-image-2.6-flare")

KINDS = {
    failure.kind
    for failure in vars(failures).values()
    if isinstance(failure, type) and issubclass(failure, Failure) and failure is not Failure
}
"""Of every failure there is: a new one cannot be forgotten."""

PROVIDER_KINDS = {
    failure.kind
    for failure in vars(failures).values()
    if isinstance(failure, type) and issubclass(failure, ProviderFailure) and failure is not ProviderFailure
}

REJECTIONS = set(get_args(RejectionReason))

CLOSED_SETS: dict[str, set[tuple[str, ...]]] = {
    "wearon_generation_total": {
        ("completed", ""),
        *(("failed", kind) for kind in KINDS),
        *(("failed", f"bad_task:{rejection}") for rejection in REJECTIONS),
    },
    "wearon_refund_total": {(kind,) for kind in REFUND_KINDS},
    "wearon_openai_requests_total": {
        (model, code)
        for model in MODELS
        for code in {"ok", "model_gone", "model_refused", "deadline_exceeded", *PROVIDER_KINDS}
    },
    "wearon_model_gone_total": {(model,) for model in MODELS},
    "wearon_dead_letters_total": {(reason,) for reason in {"bad_task", *REJECTIONS}},
    "wearon_recovered_total": {("handed_back",), ("settled_lost_session",)},
    "wearon_executor_restarts_total": {
        (state.value,) for state in ExecutorState if state not in {ExecutorState.STARTING, ExecutorState.RUNNING}
    },
    "wearon_unforeseen_errors_total": {("run",), ("link",), ("bad_elements",)},
}


def counters(registry: CollectorRegistry) -> dict[str, dict[tuple[str, ...], float]]:
    """The series of every counter, by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in registry.collect():
        for sample in family.samples if family.type == "counter" else ():
            if sample.name.endswith("_total"):
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_every_series_of_a_closed_set_is_at_zero_before_anything_happens(registry: CollectorRegistry) -> None:
    Metrics(registry, MODELS)
    assert counters(registry) == {name: dict.fromkeys(labels, 0.0) for name, labels in CLOSED_SETS.items()}


@pytest.mark.usefixtures("metrics")
def test_no_series_stands_there_a_second_time_with_its_birth(registry: CollectorRegistry) -> None:
    assert "_created" not in generate_latest(registry).decode()


def test_every_outcome_of_a_size_recommendation_is_at_zero_too(registry: CollectorRegistry) -> None:
    SizeMetrics(registry)
    codes = {
        kind.code
        for module in (models.problems, size_rec.problems)
        for kind in vars(module).values()
        if isinstance(kind, ProblemKind)
    }
    assert codes
    series = counters(registry)["wearon_size_requests_total"]
    assert codes | {"answered"} | {(reason.value) for reason in Refusal} <= {outcome for (outcome,) in series}
    assert set(series.values()) == {0.0}


def test_what_a_measurement_names_is_in_its_closed_set() -> None:
    own_codes = {value for name, value in vars(attempt_codes).items() if name.isupper() and isinstance(value, str)}
    assert own_codes
    assert own_codes <= set(attempt_codes.ATTEMPT_CODES)


def test_the_wait_for_a_turn_has_buckets_from_a_free_gate_to_the_platforms_ten_minutes(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    for waited_seconds in (0.001, 45.0, 599.0):
        metrics.record(TurnTaken(waited_seconds))
    found = [
        registry.get_sample_value("wearon_turn_wait_seconds_bucket", {"le": le}) for le in ("0.01", "60.0", "600.0")
    ]
    assert found == [1, 2, 3]


def test_tasks_in_flight_are_asked_at_every_scrape(metrics: Metrics, registry: CollectorRegistry) -> None:
    in_flight = [0]
    metrics.show_tasks(lambda: in_flight[0])
    before = registry.get_sample_value("wearon_tasks_in_flight")
    in_flight[0] = 7
    assert (before, registry.get_sample_value("wearon_tasks_in_flight")) == (0, 7)


def test_a_backlog_that_nobody_knows_has_no_series() -> None:
    registry, clock = CollectorRegistry(), SteppedClock()
    backlog = BacklogGauge(registry, now=clock)
    seen = [registry.get_sample_value("wearon_backlog")]
    backlog.set(12)
    seen.append(registry.get_sample_value("wearon_backlog"))
    backlog.forget()
    seen.append(registry.get_sample_value("wearon_backlog"))
    backlog.set(13)
    clock.advance(FRESH_SECONDS + 1)
    seen.append(registry.get_sample_value("wearon_backlog"))
    assert seen == [None, 12, None, None]
    assert b"# TYPE wearon_backlog gauge" in generate_latest(registry)


class GoneQueue:
    """A Redis that went away after its first answer."""

    def __init__(self) -> None:
        self.answers: list[int] = [5]

    def backlog(self) -> int:
        if not self.answers:
            raise redis.ConnectionError("away")
        return self.answers.pop()


class ClosedBreaker:
    """Calls may go on."""

    def blocked_by(self) -> None:
        """Nothing."""


def test_the_backlog_does_not_outlive_the_redis_it_was_asked_of(metrics: Metrics, registry: CollectorRegistry) -> None:
    watch = QueueWatch(
        cast(TaskQueue, GoneQueue()), cast(ProviderBreaker, ClosedBreaker()), None, HealthBoard(), metrics
    )
    watch.round()
    before = registry.get_sample_value("wearon_backlog")
    with pytest.raises(redis.ConnectionError):
        watch.round()
    assert (before, registry.get_sample_value("wearon_backlog")) == (5, None)


def test_a_scrape_says_whether_the_worker_starts_or_drains(metrics: Metrics, registry: CollectorRegistry) -> None:
    parts = dict.fromkeys(Component, True)
    reports = [HealthReport(parts, starting=True), HealthReport(parts, draining=True)]
    metrics.show_parts(lambda: reports[0])
    seen = []
    for _ in range(2):
        seen.append([registry.get_sample_value(f"wearon_{state}") for state in ("starting", "draining")])
        reports.reverse()
    assert seen == [[1, 0], [0, 1]]


def test_what_works_is_asked_at_every_scrape(metrics: Metrics, registry: CollectorRegistry) -> None:
    parts = dict.fromkeys(Component, False)
    metrics.show_parts(lambda: HealthReport(parts))
    before = [registry.get_sample_value("wearon_component_up", {"component": name}) for name in Component]
    parts[Component.REDIS] = True
    after = registry.get_sample_value("wearon_component_up", {"component": "redis"})
    assert (before, after) == ([0] * len(Component), 1)


def test_two_workers_in_one_process_do_not_share_their_counters(metrics: Metrics) -> None:
    other = CollectorRegistry()
    Metrics(other)
    metrics.record(COUNTED[2][0])
    assert b'wearon_refund_total{kind="user_credit"} 0.0' in generate_latest(other)
