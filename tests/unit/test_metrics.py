"""What is counted, and that it is there before it first happens."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest

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
from worker.metrics import DURATION_BUCKETS_SECONDS, Metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


COUNTED: list[tuple[Measurement, str, dict[str, str]]] = [
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
]


@pytest.mark.parametrize(("measured", "series", "labels"), COUNTED, ids=lambda value: type(value).__name__)
def test_what_happened_is_added_up(
    metrics: Metrics, registry: CollectorRegistry, measured: Measurement, series: str, labels: dict[str, str]
) -> None:
    metrics.measure(measured)
    metrics.measure(measured)
    assert registry.get_sample_value(series, labels) == 2


def test_tasks_that_were_recovered_together_are_counted_one_by_one(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.measure(TasksRecovered("handed_back", 3))
    assert registry.get_sample_value("wearon_recovered_total", {"action": "handed_back"}) == 3


@pytest.mark.parametrize(
    ("timed", "series"),
    [
        (GenerationTimed, "wearon_generation_duration_seconds"),
        (TurnTaken, "wearon_turn_wait_seconds"),
    ],
)
def test_times_go_into_a_histogram(
    metrics: Metrics, registry: CollectorRegistry, timed: Callable[[float], Measurement], series: str
) -> None:
    metrics.measure(timed(32.0))
    metrics.measure(timed(1.0))
    assert registry.get_sample_value(f"{series}_count") == 2
    assert registry.get_sample_value(f"{series}_sum") == 33


def test_the_promised_45_seconds_are_a_bucket_of_their_own(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.measure(GenerationTimed(44.9))
    metrics.measure(GenerationTimed(45.1))
    assert 45 in DURATION_BUCKETS_SECONDS
    assert registry.get_sample_value("wearon_generation_duration_seconds_bucket", {"le": "45.0"}) == 1


@pytest.mark.parametrize(
    ("series", "labels"),
    [
        ("wearon_generation_total", {"outcome": "completed", "reason": ""}),
        ("wearon_refund_total", {"kind": "user_credit"}),
        ("wearon_refund_total", {"kind": "store_credit"}),
        ("wearon_refund_total", {"kind": "shopper_credit"}),
        ("wearon_refund_total", {"kind": "store_overage"}),
        ("wearon_refund_total", {"kind": "unproven_charge"}),
        ("wearon_refund_total", {"kind": "already_refunded"}),
        ("wearon_recovered_total", {"action": "handed_back"}),
        ("wearon_recovered_total", {"action": "settled_lost_session"}),
    ],
)
def test_a_series_is_there_before_its_first_event(
    metrics: Metrics, registry: CollectorRegistry, series: str, labels: dict[str, str]
) -> None:
    assert registry.get_sample_value(series, labels) == 0


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
    metrics.measure(COUNTED[2][0])
    assert b'wearon_refund_total{kind="user_credit"} 0.0' in generate_latest(other)
