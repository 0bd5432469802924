"""Counts and times every HTTP request with ``prometheus-fastapi-instrumentator``, in the app's own registry.

Whatever a caller sends, there are few series: a path that no route has is ``none``, a method that no route could have
is ``other``, and statuses are counted by their first digit.
"""

from collections.abc import Callable
from http import HTTPMethod
from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info

NOT_COUNTED: Final = ["^/metrics/?$", "^/health/?$"]
"""What machines ask all day long (regular expressions)."""

KNOWN_METHODS: Final = frozenset(HTTPMethod)
OTHER_METHOD: Final = "other"

DURATION_BUCKETS_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5)
"""NFR-1.2's 3 s, and the deadline of 4.5 s over everything that one request does."""

MAIN_HANDLER: Final = ("/estimate-body", "POST")
STATUSES: Final = ("2xx", "4xx", "5xx")


def instrument(app: FastAPI, registry: CollectorRegistry) -> None:
    """Have every request counted and timed."""
    Instrumentator(excluded_handlers=NOT_COUNTED, registry=registry).add(_measure(registry)).instrument(app)


def _measure(registry: CollectorRegistry) -> Callable[[Info], None]:
    """The library's two main metrics. Not made by it: its histogram shows nothing between 1 s and no end, it takes any
    method for a label, and a series of its own begins with its first request, which an alert cannot see (ADR 0049)."""
    requests = Counter(
        "http_requests",
        "HTTP requests, but for /metrics and /health.",
        ["handler", "method", "status"],
        registry=registry,
    )
    duration = Histogram(
        "http_request_duration_seconds",
        "From the request to the end of its answer.",
        ["handler", "method"],
        buckets=DURATION_BUCKETS_SECONDS,
        registry=registry,
    )
    for status in STATUSES:
        requests.labels(*MAIN_HANDLER, status)
    duration.labels(*MAIN_HANDLER)

    def measure(info: Info) -> None:
        method = info.method if info.method in KNOWN_METHODS else OTHER_METHOD
        requests.labels(info.modified_handler, method, info.modified_status).inc()
        duration.labels(info.modified_handler, method).observe(info.modified_duration)

    return measure
