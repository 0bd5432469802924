"""The size recommendation's application, asked in the test's own process."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from models.health import Component, HealthReport
from services.fetching.url_guard import TrustedHosts
from size_rec.processes.pool import BodyEstimator
from web.app import create_app

READY = HealthReport(parts=dict.fromkeys(Component, True))
LOOPBACK = TrustedHosts.parse("127.0.0.1,localhost")
LOAD_TIMEOUT_SECONDS = 60
PATIENT_SECONDS = 60
"""The deadline has tests of its own; the others must not fail on a busy machine."""
T = TypeVar("T")


@contextmanager
def loaded_estimator(**options: Any) -> Iterator[BodyEstimator]:
    """With its models loaded."""
    estimator = BodyEstimator(**options)
    try:
        estimator.start()
        estimator.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
        yield estimator
    finally:
        estimator.close()


def app_with(estimator: BodyEstimator | None, **options: Any) -> FastAPI:
    """The application, with photographs allowed to come from loopback."""
    return create_app(
        health=lambda: READY, registry=CollectorRegistry(), estimator=estimator, trusted_hosts=LOOPBACK, **options
    )


def ask(app: FastAPI, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
    """One request for a size recommendation."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def post(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(
            "/estimate-body", content=content, headers={"Content-Type": "application/json"} | (headers or {})
        )

    return with_client(app, post)


def with_client(app: FastAPI, use: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """What ``use`` makes of a client of the application."""

    async def run() -> T:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://worker", timeout=60) as client:
            return await use(client)

    return asyncio.run(run())
