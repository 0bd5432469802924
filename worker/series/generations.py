"""Series about generations: how many, how long, and what was given back."""

from typing import Final, assert_never

from prometheus_client import CollectorRegistry, Counter, Histogram

from models.generation import Channel
from models.stages import Stage
from worker.samples import (
    FAILURE_REASONS,
    REFUND_KINDS,
    ChargeUndone,
    GenerationEnded,
    GenerationTimed,
    StagesTimed,
)

DURATION_BUCKETS_SECONDS: Final = (5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 90, 120, 180, 300, 600)
"""Around NFR-1.1's 45 s, up to the task limit and a wait before it."""

STAGE_BUCKETS_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 45, 60, 120, 300, 600)
"""From a free gate and a download next door to the platform's ten minutes, after which nobody waits any more."""

GenerationSample = GenerationEnded | GenerationTimed | StagesTimed | ChargeUndone


class GenerationSeries:
    """Entered with ``record``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "wearon_generation",
            "Sessions settled by this worker, by channel, outcome and reason.",
            ["channel", "outcome", "reason"],
            registry=registry,
        )
        self._duration = Histogram(
            "wearon_generation_duration_seconds",
            "From the platform's request to the finished picture.",
            ["channel"],
            buckets=DURATION_BUCKETS_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "wearon_stage_duration_seconds",
            "What each stage of a task took.",
            ["stage"],
            buckets=STAGE_BUCKETS_SECONDS,
            registry=registry,
        )
        self._refunds = Counter("wearon_refund", "Charges undone, by what was charged.", ["kind"], registry=registry)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for channel in Channel:
            self._ended.labels(channel, "completed", "")
            for reason in FAILURE_REASONS:
                self._ended.labels(channel, "failed", reason)
            self._duration.labels(channel)
        for stage in Stage:
            self._stages.labels(stage)
        for kind in REFUND_KINDS:
            self._refunds.labels(kind)

    def record(self, sample: GenerationSample) -> None:
        """Enter one sample."""
        match sample:
            case GenerationEnded(channel, outcome, reason):
                self._ended.labels(channel, outcome, reason).inc()
            case GenerationTimed(channel, seconds):
                self._duration.labels(channel).observe(seconds)
            case StagesTimed(spent):
                for stage, seconds in spent.items():
                    self._stages.labels(stage).observe(seconds)
            case ChargeUndone(kind):
                self._refunds.labels(kind).inc()
            case _:
                assert_never(sample)
