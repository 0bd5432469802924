"""What is counted, and that it is there before it first happens."""

from datetime import UTC, datetime, timedelta
from typing import cast, get_args

import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

import models.problems
import size_rec.problems
from models import failures
from models.failures import AccountBlocked, Failure, ProviderFailure
from models.generation import Channel
from models.health import Component, HealthReport
from models.problems import ProblemKind
from models.stages import Stage
from services.providers import attempt_codes
from services.queue.task_queue import QueueLook, TaskQueue
from services.turns.provider_report import ProviderLook, ProviderReport
from size_rec.metrics import SizeMetrics
from size_rec.vocabulary import Refusal
from tests.support.clock import SteppedClock
from tests.support.payloads import b2c, encode
from worker.elements import MAX_ELEMENT_BYTES, RejectionReason
from worker.executor_state import ExecutorState
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.samples import (
    REFUND_KINDS,
    ChargeUndone,
    ErrorUnforeseen,
    GenerationEnded,
    GenerationTimed,
    LetterBuried,
    ModelRetired,
    ModelsUsable,
    PictureBilled,
    ProviderAsked,
    Sample,
    SettlementRefused,
    StagesTimed,
    TasksRecovered,
)
from worker.series.fresh_gauge import FreshGauge
from worker.series.generations import DURATION_BUCKETS_SECONDS, STAGE_BUCKETS_SECONDS
from worker.supervision.queue_watch import QueueWatch, oldest_waiting_seconds


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


COUNTED: list[tuple[Sample, str, dict[str, str]]] = [
    (
        GenerationEnded(Channel.B2C, "failed", "moderated"),
        "wearon_generation_total",
        {"channel": "b2c", "outcome": "failed", "reason": "moderated"},
    ),
    (
        GenerationEnded(Channel.B2B, "completed"),
        "wearon_generation_total",
        {"channel": "b2b", "outcome": "completed", "reason": ""},
    ),
    (ChargeUndone("user_credit"), "wearon_refund_total", {"kind": "user_credit"}),
    (
        ProviderAsked("gpt-image-1.5", "rate_limited"),
        "wearon_openai_requests_total",
        {"model": "gpt-image-1.5", "code": "rate_limited"},
    ),
    (ModelRetired("gpt-image-1.5"), "wearon_model_gone_total", {"model": "gpt-image-1.5"}),
    (LetterBuried("not_json"), "wearon_dead_letters_total", {"reason": "not_json"}),
    (TasksRecovered("settled_lost_session"), "wearon_recovered_total", {"action": "settled_lost_session"}),
    (SettlementRefused(), "wearon_settlement_refused_total", {}),
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


def test_the_time_of_a_generation_goes_into_its_channels_histogram(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    for channel, seconds in ((Channel.B2B, 32.0), (Channel.B2B, 1.0), (Channel.B2C, 4.0)):
        metrics.record(GenerationTimed(channel, seconds))
    sums = [registry.get_sample_value("wearon_generation_duration_seconds_sum", {"channel": c}) for c in Channel]
    assert dict(zip(Channel, sums, strict=True)) == {Channel.B2B: 33, Channel.B2C: 4}


def test_each_stage_that_a_task_came_to_is_timed_once(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.record(StagesTimed({Stage.QUEUE: 0.2, Stage.DOWNLOAD: 31.0}))
    counts = {
        stage.value: registry.get_sample_value("wearon_stage_duration_seconds_count", {"stage": stage})
        for stage in Stage
    }
    assert counts == {"queue": 1, "download": 1, "prepare": 0, "turn": 0, "provider": 0, "store": 0}
    assert registry.get_sample_value("wearon_stage_duration_seconds_sum", {"stage": "download"}) == 31


def test_what_a_picture_is_billed_is_added_up_by_kind_of_token_and_by_channel(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    model = "gpt-image-2.6-flare"
    for channel in (Channel.B2B, Channel.B2C, Channel.B2C):
        metrics.record(PictureBilled(channel, model, {"text_in": 40, "image_out": 1500}, 0.05))
    found = [
        registry.get_sample_value("wearon_openai_tokens_total", {"model": model, "kind": "image_out"}),
        registry.get_sample_value("wearon_openai_cost_dollars_total", {"model": model, "channel": "b2c"}),
    ]
    assert found == [4500, pytest.approx(0.10)]


def test_the_models_that_are_left_start_with_all_of_them(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry, MODELS)
    seen = [registry.get_sample_value("wearon_openai_models_left")]
    metrics.record(ModelsUsable([MODELS[1]]))
    seen.append(registry.get_sample_value("wearon_openai_models_left"))
    assert seen == [2, 1]
    usable = [registry.get_sample_value("wearon_openai_model_usable", {"model": model}) for model in MODELS]
    assert usable == [0, 1]


@pytest.mark.parametrize(
    ("blocked_by", "shown"),
    [("quota_exhausted", "quota_exhausted"), ("a_kind_of_a_later_version", "other"), (None, None)],
)
def test_a_pause_of_the_provider_is_shown_by_its_reason_and_by_no_other(
    metrics: Metrics, registry: CollectorRegistry, blocked_by: str | None, shown: str | None
) -> None:
    metrics.provider.show_pause("no_model_left")
    metrics.provider.show_pause(blocked_by)
    up = [
        sample.labels["reason"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "wearon_provider_paused" and sample.value == 1
    ]
    assert up == ([] if shown is None else [shown])


def test_the_promised_45_seconds_are_a_bucket_of_their_own(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.record(GenerationTimed(Channel.B2C, 44.9))
    metrics.record(GenerationTimed(Channel.B2C, 45.1))
    assert 45 in DURATION_BUCKETS_SECONDS
    labels = {"channel": "b2c", "le": "45.0"}
    assert registry.get_sample_value("wearon_generation_duration_seconds_bucket", labels) == 1


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

PAUSING_KINDS = {
    failure.kind
    for failure in vars(failures).values()
    if isinstance(failure, type) and issubclass(failure, AccountBlocked)
} | {"other"}

REJECTIONS = set(get_args(RejectionReason))

CLOSED_SETS: dict[str, set[tuple[str, ...]]] = {
    "wearon_generation_total": {
        (channel, *ended)
        for channel in ("b2b", "b2c")
        for ended in {
            ("completed", ""),
            *(("failed", kind) for kind in KINDS),
            *(("failed", f"bad_task:{rejection}") for rejection in REJECTIONS),
        }
    },
    "wearon_refund_total": {(kind,) for kind in REFUND_KINDS},
    "wearon_openai_requests_total": {
        (model, code)
        for model in MODELS
        for code in {"ok", "model_gone", "model_refused", "deadline_exceeded", *PROVIDER_KINDS}
    },
    "wearon_openai_tokens_total": {
        (model, kind)
        for model in MODELS
        for kind in ("text_in", "cached_text_in", "image_in", "cached_image_in", "image_out")
    },
    "wearon_openai_cost_dollars_total": {(channel, model) for model in MODELS for channel in ("b2b", "b2c")},
    "wearon_model_gone_total": {(model,) for model in MODELS},
    "wearon_dead_letters_total": {(reason,) for reason in {"bad_task", *REJECTIONS}},
    "wearon_recovered_total": {("handed_back",), ("settled_lost_session",)},
    "wearon_settlement_refused_total": {()},
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


def test_the_times_of_stages_have_buckets_from_a_free_gate_to_the_platforms_ten_minutes(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    for waited_seconds in (0.001, 45.0, 599.0):
        metrics.record(StagesTimed({Stage.TURN: waited_seconds}))
    found = [
        registry.get_sample_value("wearon_stage_duration_seconds_bucket", {"stage": "turn", "le": le})
        for le in ("0.01", "45.0", "600.0")
    ]
    assert found == [1, 2, 3]
    assert STAGE_BUCKETS_SECONDS[-1] == 600


def test_the_closed_sets_of_histograms_and_gauges_are_there_before_anything_happens(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    values = {
        (sample.name, *sample.labels.values())
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_count") or sample.name == "wearon_provider_paused"
    }
    assert values >= {
        *(("wearon_stage_duration_seconds_count", stage.value) for stage in Stage),
        *(("wearon_generation_duration_seconds_count", channel.value) for channel in Channel),
        *(("wearon_provider_paused", kind) for kind in PAUSING_KINDS),
    }
    metrics.provider.show_pause(None)
    assert {registry.get_sample_value("wearon_provider_paused", {"reason": kind}) for kind in PAUSING_KINDS} == {0}


def test_tasks_in_flight_are_asked_at_every_scrape(metrics: Metrics, registry: CollectorRegistry) -> None:
    in_flight = [0]
    metrics.tasks.show_in_flight(lambda: in_flight[0])
    before = registry.get_sample_value("wearon_tasks_in_flight")
    in_flight[0] = 7
    assert (before, registry.get_sample_value("wearon_tasks_in_flight")) == (0, 7)


def test_a_value_that_nobody_knows_has_no_series() -> None:
    registry, clock = CollectorRegistry(), SteppedClock()
    gauge = FreshGauge(registry, "wearon_backlog", "Waiting.", fresh_seconds=30, now=clock)
    seen = [registry.get_sample_value("wearon_backlog")]
    gauge.set(12)
    seen.append(registry.get_sample_value("wearon_backlog"))
    gauge.set(None)
    seen.append(registry.get_sample_value("wearon_backlog"))
    gauge.set(13)
    clock.advance(31)
    seen.append(registry.get_sample_value("wearon_backlog"))
    assert seen == [None, 12, None, None]
    assert b"# TYPE wearon_backlog gauge" in generate_latest(registry)


def element_of(ordered_at: datetime) -> bytes:
    """A task as the platform wrote it then."""
    return encode(b2c(created_at=ordered_at.isoformat().replace("+00:00", "Z")))


NOW = datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC)


class GoneQueue:
    """A Redis that went away after its first answer."""

    def __init__(self, *answers: QueueLook) -> None:
        self.answers = list(answers)

    def look(self, *, most_bytes: int) -> QueueLook:
        assert most_bytes == MAX_ELEMENT_BYTES
        if not self.answers:
            raise redis.ConnectionError("away")
        return self.answers.pop()


class BusyProvider:
    """Seven turns were taken, and calls may go on."""

    def look(self) -> ProviderLook:
        return ProviderLook(turns_taken=7, blocked_by=None)


def test_what_redis_said_of_the_queue_and_the_window_does_not_outlive_it(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    names = ("wearon_backlog", "wearon_oldest_waiting_seconds", "wearon_rate_window_requests")
    watch = QueueWatch(
        cast(TaskQueue, GoneQueue(QueueLook(5, element_of(NOW - timedelta(seconds=90))))),
        cast(ProviderReport, BusyProvider()),
        None,
        HealthBoard(),
        metrics,
        now=lambda: NOW,
    )
    watch.round()
    before = [registry.get_sample_value(name) for name in names]
    with pytest.raises(redis.ConnectionError):
        watch.round()
    assert before == [5, 90, 7]
    assert [registry.get_sample_value(name) for name in names] == [None, None, None]


@pytest.mark.parametrize(
    ("look", "age_seconds"),
    [
        (QueueLook(0, None), 0),
        (QueueLook(2, None), None),
        (QueueLook(2, b"{}"), None),
        (QueueLook(2, b"\xff"), None),
    ],
    ids=["none waits", "the oldest is too long to be read", "it is no task", "it is no JSON"],
)
def test_only_a_task_has_an_age(look: QueueLook, age_seconds: float | None) -> None:
    assert oldest_waiting_seconds(look, NOW) == age_seconds


def test_a_task_from_a_host_whose_clock_is_ahead_has_waited_for_nothing() -> None:
    assert oldest_waiting_seconds(QueueLook(1, element_of(NOW + timedelta(seconds=5))), NOW) == 0


def test_a_scrape_says_whether_the_worker_starts_or_drains(metrics: Metrics, registry: CollectorRegistry) -> None:
    parts = dict.fromkeys(Component, True)
    reports = [HealthReport(parts, starting=True), HealthReport(parts, draining=True)]
    metrics.worker.show_parts(lambda: reports[0])
    seen = []
    for _ in range(2):
        seen.append([registry.get_sample_value(f"wearon_{state}") for state in ("starting", "draining")])
        reports.reverse()
    assert seen == [[1, 0], [0, 1]]


def test_what_works_is_asked_at_every_scrape(metrics: Metrics, registry: CollectorRegistry) -> None:
    parts = dict.fromkeys(Component, False)
    metrics.worker.show_parts(lambda: HealthReport(parts))
    before = [registry.get_sample_value("wearon_component_up", {"component": name}) for name in Component]
    parts[Component.REDIS] = True
    after = registry.get_sample_value("wearon_component_up", {"component": "redis"})
    assert (before, after) == ([0] * len(Component), 1)


def test_two_workers_in_one_process_do_not_share_their_counters(metrics: Metrics) -> None:
    other = CollectorRegistry()
    Metrics(other)
    metrics.record(COUNTED[2][0])
    assert b'wearon_refund_total{kind="user_credit"} 0.0' in generate_latest(other)
