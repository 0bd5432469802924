"""What is counted of HTTP requests, and that no caller can make the number of series grow."""

import random
import string
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from models.health import Component, HealthReport
from tests.support.size_service import with_client
from web.app import create_app
from web.http_metrics import DURATION_BUCKETS_SECONDS

STRANGERS = 200
SERIES_OF_EVERYTHING = 200
"""More than the known paths, the known methods and the buckets make together."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def app(registry: CollectorRegistry) -> FastAPI:
    return create_app(health=lambda: HealthReport(parts=dict.fromkeys(Component, True)), registry=registry)


def http_samples(registry: CollectorRegistry) -> Iterator[Sample]:
    for family in registry.collect():
        if family.name.startswith("http_"):
            yield from family.samples


def counted(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    """How many requests, by handler, method and status; what was never asked is left out."""
    return {
        (sample.labels["handler"], sample.labels["method"], sample.labels["status"]): sample.value
        for sample in http_samples(registry)
        if sample.name == "http_requests_total" and sample.value
    }


def test_a_request_is_counted_and_timed_by_what_answered_it(app: FastAPI, registry: CollectorRegistry) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        await client.post("/estimate-body", json={})
        await client.post("/estimate-body", json={"image_url": "https://example.com/a.jpg", "height_cm": 170})
        await client.get("/openapi.json")

    with_client(app, ask)
    assert counted(registry) == {
        ("/estimate-body", "POST", "4xx"): 1,
        ("/estimate-body", "POST", "5xx"): 1,
        ("/openapi.json", "GET", "2xx"): 1,
    }
    labels = {"handler": "/estimate-body", "method": "POST"}
    assert registry.get_sample_value("http_request_duration_seconds_count", labels) == 2


def test_a_path_that_no_route_has_and_a_method_that_somebody_invents_share_a_series(
    app: FastAPI, registry: CollectorRegistry
) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        for path in ("/wp-login.php", "/metrics-of-others", "/healthz"):
            await client.get(path)
        for method in ("BREW", "estimate", "POSTT"):
            await client.request(method, "/estimate-body")

    with_client(app, ask)
    assert counted(registry) == {("none", "GET", "4xx"): 3, ("/estimate-body", "other", "4xx"): 3}


def test_two_hundred_random_paths_and_methods_leave_a_handful_of_series(
    app: FastAPI, registry: CollectorRegistry
) -> None:
    words = random.Random(12)

    def word() -> str:
        return "".join(words.choices(string.ascii_letters + string.digits, k=12))

    async def ask(client: httpx.AsyncClient) -> None:
        for _ in range(STRANGERS):
            await client.request(word().upper(), f"/{word()}/{word()}?{word()}")
            await client.get(f"/{word()}")
            await client.request(word(), "/estimate-body")

    with_client(app, ask)
    assert sum(counted(registry).values()) == 3 * STRANGERS
    assert len(list(http_samples(registry))) < SERIES_OF_EVERYTHING


def test_what_machines_ask_all_day_is_not_counted(app: FastAPI, registry: CollectorRegistry) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        await client.get("/metrics")
        await client.get("/health")

    with_client(app, ask)
    assert counted(registry) == {}


def test_the_series_of_a_size_recommendation_are_there_before_the_first_one(
    app: FastAPI, registry: CollectorRegistry
) -> None:
    assert app.routes
    for status in ("2xx", "4xx", "5xx"):
        labels = {"handler": "/estimate-body", "method": "POST", "status": status}
        assert registry.get_sample_value("http_requests_total", labels) == 0


def test_the_buckets_can_show_the_promised_three_seconds_and_the_deadline() -> None:
    assert {3.0, 4.5} <= set(DURATION_BUCKETS_SECONDS)
    assert sum(2 <= bucket <= 4.5 for bucket in DURATION_BUCKETS_SECONDS) >= 4
