"""Size recommendation on the worker's real server: /health and the rest of the process go first."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import httpx
import psutil
import pytest

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.processes import free_port
from size_rec.processes.pool import PROCESSES, BodyEstimator
from tests.support.size_photos import photo_host
from tests.support.size_service import PATIENT_SECONDS, app_with
from web.server import HttpServer

CALLERS = 8
ROUNDS = 3
"""Photographs each caller has measured: the eight are at work for longer than a single answer takes."""
CONNECT_RETRIES = 6
"""httpx pauses for 0.5 s, 1 s, 2 s and so on between them; the server needs less than one."""
QUICK = 1 / (PROCESSES * CALLERS)
"""Of a caller's wait: a quarter of what one photograph takes. NFR-1.3's number is measured by ``make bench``."""
LOOKS = 50
"""At /health at least; the median of so many does not know that something stood still for a moment."""


@pytest.fixture(scope="module")
def server(estimator: BodyEstimator) -> Iterator[str]:
    app = app_with(estimator, deadline_seconds=PATIENT_SECONDS)
    port = free_port()
    http = HttpServer(app, host="127.0.0.1", port=port)
    http.start()
    address = f"http://127.0.0.1:{port}"
    with client(address) as first:
        first.get("/health")
    yield address
    http.stop()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with photo_host({}) as address:
        yield address


def client(server: str) -> httpx.Client:
    return httpx.Client(
        base_url=server, timeout=PATIENT_SECONDS, transport=httpx.HTTPTransport(retries=CONNECT_RETRIES)
    )


def measure(caller: httpx.Client, host: str) -> int:
    """The status."""
    return caller.post("/estimate-body", json={"image_url": f"{host}/b0001.jpg", "height_cm": 176.2}).status_code


def measure_again_and_again(server: str, host: str) -> set[int]:
    """The statuses of ``ROUNDS`` requests."""
    with client(server) as caller:
        return {measure(caller, host) for _ in range(ROUNDS)}


def look(server: str) -> int:
    """The status of /health, on a connection of its own: on a kept one the kernel holds parts of an answer back."""
    return httpx.get(f"{server}/health", timeout=PATIENT_SECONDS, trust_env=False, verify=NO_AUTHORITIES).status_code


def seconds_of(ask: Callable[[], int]) -> float:
    """How long an answer takes, which is a good one."""
    started = time.perf_counter()
    assert ask() == 200
    return time.perf_counter() - started


def test_health_is_answered_while_every_measuring_process_is_busy_and_callers_wait(
    estimator: BodyEstimator, server: str, host: str
) -> None:
    processes = [psutil.Process(pid) for pid in estimator.pids]
    for process in processes:
        process.suspend()
    with ThreadPoolExecutor(CALLERS) as callers, client(server) as monitor:
        waiting = [callers.submit(measure_again_and_again, server, host) for _ in range(CALLERS)]
        try:
            while estimator._measuring < CALLERS and not any(each.done() for each in waiting):
                assert monitor.get("/health").json()["status"] == "ok"
            assert monitor.get("/health").json()["status"] == "ok"
            assert not any(each.done() for each in waiting)
        finally:
            for process in processes:
                process.resume()
        assert [each.result() for each in waiting] == [{200}] * CALLERS


def test_health_waits_for_no_photograph_while_eight_callers_measure(server: str, host: str) -> None:
    """On a slow machine callers wait for longer, and /health with them, but not in their queue."""
    health: list[float] = []
    photographs: list[float] = []
    enough = threading.Event()

    def measure_until_enough() -> None:
        with client(server) as caller:
            while not enough.is_set():
                photographs.append(seconds_of(lambda: measure(caller, host)))

    with ThreadPoolExecutor(CALLERS) as callers:
        measuring = [callers.submit(measure_until_enough) for _ in range(CALLERS)]
        try:
            while len(photographs) < CALLERS * ROUNDS or len(health) < LOOKS:
                assert not any(each.done() for each in measuring)
                health.append(seconds_of(lambda: look(server)))
        finally:
            enough.set()
        for each in measuring:
            each.result()
    assert median(health) < QUICK * median(photographs)
