"""What is counted, and that it is there before it first happens."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from worker.link import Measured
from worker.metrics import DURATION_BUCKETS_SECONDS, Metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


COUNTED = [
    (
        Measured("generation", labels={"outcome": "failed", "reason": "moderated"}),
        "wearon_generation_total",
        {"outcome": "failed", "reason": "moderated"},
    ),
    (
        Measured("generation", labels={"outcome": "completed", "reason": ""}),
        "wearon_generation_total",
        {"outcome": "completed", "reason": ""},
    ),
    (Measured("refund", labels={"kind": "user_credit"}), "wearon_refund_total", {"kind": "user_credit"}),
    (
        Measured("provider_request", labels={"model": "gpt-image-1.5", "code": "429"}),
        "wearon_openai_requests_total",
        {"model": "gpt-image-1.5", "code": "429"},
    ),
    (Measured("model_gone", labels={"model": "gpt-image-1.5"}), "wearon_model_gone_total", {"model": "gpt-image-1.5"}),
    (Measured("dead_letter", labels={"reason": "not_json"}), "wearon_dead_letters_total", {"reason": "not_json"}),
    (Measured("recovered", 3, {"action": "handed_back"}), "wearon_recovered_total", {"action": "handed_back"}),
]


@pytest.mark.parametrize(("measured", "series", "labels"), COUNTED, ids=lambda value: getattr(value, "metric", None))
def test_what_happened_is_added_up(
    metrics: Metrics, registry: CollectorRegistry, measured: Measured, series: str, labels: dict[str, str]
) -> None:
    metrics.measure(measured)
    metrics.measure(measured)
    assert registry.get_sample_value(series, labels) == 2 * measured.value


@pytest.mark.parametrize(
    ("metric", "series"),
    [
        ("duration_seconds", "wearon_generation_duration_seconds"),
        ("turn_wait_seconds", "wearon_turn_wait_seconds"),
    ],
)
def test_times_go_into_a_histogram(metrics: Metrics, registry: CollectorRegistry, metric: str, series: str) -> None:
    metrics.measure(Measured(metric, 32.0))
    metrics.measure(Measured(metric, 1.0))
    assert registry.get_sample_value(f"{series}_count") == 2
    assert registry.get_sample_value(f"{series}_sum") == 33


def test_the_promised_45_seconds_are_a_bucket_of_their_own(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.measure(Measured("duration_seconds", 44.9))
    metrics.measure(Measured("duration_seconds", 45.1))
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


def test_a_measurement_nobody_knows_is_a_bug_and_says_so(metrics: Metrics) -> None:
    with pytest.raises(AssertionError, match="misspelt"):
        metrics.measure(Measured("misspelt"))


def test_two_workers_in_one_process_do_not_share_their_counters(metrics: Metrics) -> None:
    other = CollectorRegistry()
    Metrics(other)
    metrics.measure(COUNTED[2][0])
    assert b'wearon_refund_total{kind="user_credit"} 0.0' in generate_latest(other)
