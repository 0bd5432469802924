"""nginx with a certificate, a name server that it asks, and stand-ins behind it, for a file's tests together."""

from collections.abc import Iterator

import pytest

from sandbox.servers.processes import LOOPBACK, free_port
from tests.support.backends import Backend
from tests.support.edge import GRAFANA, WORKER, Edge, wait_until
from tests.support.name_server import NameServer


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    """Knows the worker and Grafana on the same address."""
    with NameServer() as server:
        server.names = {WORKER: (LOOPBACK,), GRAFANA: (LOOPBACK,)}
        yield server


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """Stands in for the worker and for Grafana at once: what is behind a route shows in what it saw."""
    with Backend("backend", free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def edge(name_server: NameServer, backend: Backend) -> Iterator[Edge]:
    """The real nginx, which has found both upstreams."""
    edge = Edge(name_server.address, backend.port)
    edge.certify()
    with edge:
        with edge.client() as client:
            wait_until(lambda: client.get("/health").status_code == 200, "nginx has found the worker")
            wait_until(lambda: client.get("/grafana/").status_code == 200, "nginx has found Grafana")
        yield edge


@pytest.fixture(autouse=True)
def _nothing_seen(request: pytest.FixtureRequest) -> None:
    if "backend" in request.fixturenames:
        request.getfixturevalue("backend").seen.clear()
