"""Counters of size recommendation; all start at zero, so that a missing series always means a missing worker."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from models.problems import INTERNAL, REQUEST_PROBLEMS
from size_rec.problems import DEADLINE, IMAGE_PROBLEMS, MODEL_UNAVAILABLE, OVERLOADED, PHOTO_TOO_SLOW, TOO_MANY_PIXELS
from size_rec.vocabulary import Refusal

ANSWERED: Final = "answered"

OUTCOMES: Final = (
    ANSWERED,
    *(reason.value for reason in Refusal),
    *(kind.code for kind in (*REQUEST_PROBLEMS, *IMAGE_PROBLEMS.values())),
    *(kind.code for kind in (TOO_MANY_PIXELS, OVERLOADED, MODEL_UNAVAILABLE, PHOTO_TOO_SLOW, DEADLINE, INTERNAL)),
)

DURATION_BUCKETS_SECONDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5)
"""Up to the deadline; 1 s is where the web client warns, 3 s is NFR-1.2."""

CONFIDENCE_BUCKETS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class SizeMetrics:
    """What GET /metrics shows of size recommendation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "wearon_size_requests",
            "Requests by outcome: size recommendations, and what was refused before it could be one.",
            ["outcome"],
            registry=registry,
        )
        self._duration = Histogram(
            "wearon_size_duration_seconds",
            "From the request to its answer, download included.",
            buckets=DURATION_BUCKETS_SECONDS,
            registry=registry,
        )
        self._confidence = Histogram(
            "wearon_size_confidence",
            "Confidence of the size recommendations that were answered, from 0 to 1.",
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._requests.labels(outcome)

    def note_confidence(self, confidence: float) -> None:
        """One size recommendation was answered with this confidence."""
        self._confidence.observe(confidence)

    def count(self, outcome: str, seconds: float) -> None:
        """One size recommendation ended."""
        self._requests.labels(outcome).inc()
        self._duration.observe(seconds)

    def count_refused(self, code: str) -> None:
        """One request was refused before it came to a size recommendation."""
        self._requests.labels(code).inc()
