"""When the port is open, and when it is not."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.processes import free_port
from tests.support.worker import WAIT_SECONDS, wait_until
from web.server import HttpServer


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def app() -> Iterator[FastAPI]:
    app = FastAPI()
    app.state.asked, app.state.may_answer = threading.Event(), threading.Event()

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.get("/slow")
    async def slow() -> str:
        app.state.asked.set()
        await asyncio.to_thread(app.state.may_answer.wait, WAIT_SECONDS)
        return "done"

    yield app
    app.state.may_answer.set()


def ask(port: int, path: str) -> object:
    address = f"http://127.0.0.1:{port}{path}"
    return httpx.get(address, timeout=WAIT_SECONDS, trust_env=False, verify=NO_AUTHORITIES).json()


def is_open(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def server(app: FastAPI, port: int, gate: threading.Event) -> Iterator[HttpServer]:
    server = HttpServer(app, host="127.0.0.1", port=port, may_open=gate.is_set)
    server.start()
    yield server
    server.stop()


def test_connections_are_refused_until_it_may_open(server: HttpServer, port: int, gate: threading.Event) -> None:
    assert server.is_alive()
    assert not is_open(port)
    gate.set()
    wait_until(lambda: is_open(port), "the port is open")
    assert ask(port, "/health") == "ok"


def test_the_port_is_taken_before_it_is_open(
    server: HttpServer, app: FastAPI, port: int, gate: threading.Event
) -> None:
    gate.set()
    wait_until(lambda: is_open(port), "the port is open")
    second = HttpServer(app, host="127.0.0.1", port=port)
    second.start()
    assert not second.is_alive(), "which ends the process"
    second.stop()


def test_the_end_of_an_answer_does_not_wait_until_its_beginning_is_acknowledged(
    server: HttpServer, port: int, gate: threading.Event
) -> None:
    gate.set()
    wait_until(lambda: is_open(port), "the port is open")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_AUTHORITIES) as client:
        assert client.get("/health").json() == "ok"
        [connection] = server._server.server_state.connections
        kept = connection.transport.get_extra_info("socket")
        assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_server_that_never_opened_ends(app: FastAPI, port: int) -> None:
    server = HttpServer(app, host="127.0.0.1", port=port, may_open=lambda: False)
    server.start()
    server.stop()
    assert not server.is_alive()
    assert not is_open(port)


def test_new_callers_are_answered_while_the_last_answers_are_finished(
    server: HttpServer, app: FastAPI, port: int, gate: threading.Event
) -> None:
    gate.set()
    wait_until(lambda: is_open(port), "the port is open")
    answers: list[object] = []
    slow = threading.Thread(target=lambda: answers.append(ask(port, "/slow")))
    slow.start()
    assert app.state.asked.wait(WAIT_SECONDS)
    ending = threading.Thread(target=server.stop)
    ending.start()
    wait_until(server._stopping.is_set, "the stop has begun")
    assert ask(port, "/health") == "ok"
    assert not server._server.should_exit, "the port stays open"
    app.state.may_answer.set()
    slow.join(WAIT_SECONDS)
    ending.join(WAIT_SECONDS)
    assert answers == ["done"]
    assert not is_open(port)
    assert not server.is_alive()
