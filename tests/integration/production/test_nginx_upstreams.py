"""Workers come and go behind nginx: a replaced one is found, a freed address is forgotten, a dead one costs nobody a
request (ADR 0114; langgenius/dify #40448)."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from sandbox.servers.processes import free_port
from tests.support.backends import Backend, Reply, Seen
from tests.support.edge import GRAFANA, WORKER, Edge, wait_until
from tests.support.name_server import NameServer

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
REQUESTS = 20

QUESTIONS_UNTIL_FOUND = 2
"""Whoever asks for the second time has taken in the first answer."""


@contextmanager
def edge_before(names: NameServer, port: int) -> Iterator[httpx.Client]:
    """A client of an nginx whose workers listen on ``port``."""
    with edge_and_client(names, port) as (_, client):
        yield client


@contextmanager
def edge_and_client(names: NameServer, port: int) -> Iterator[tuple[Edge, httpx.Client]]:
    """Both, for whoever reads nginx's log too."""
    edge = Edge(names.address, port)
    edge.certify()
    with edge, edge.client() as client:
        yield edge, client


def answers_with(client: httpx.Client, name: str) -> bool:
    answer = client.get("/health")
    return answer.status_code == 200 and answer.json()["backend"] == name


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as names:
        names.names = {WORKER: (FIRST,), GRAFANA: (FIRST,)}
        yield names


def test_a_replaced_worker_is_found_and_a_stranger_at_its_old_address_gets_nothing(names: NameServer) -> None:
    port = free_port()
    with edge_before(names, port) as client, ExitStack() as containers:
        with Backend("old", port, address=FIRST):
            wait_until(lambda: answers_with(client, "old"), "the old worker answers")
        containers.enter_context(Backend("new", port, address=SECOND))
        names.names = names.names | {WORKER: (SECOND,)}
        names.wait_until_asked_again(WORKER, QUESTIONS_UNTIL_FOUND)
        assert answers_with(client, "new")

        stranger = containers.enter_context(Backend("stranger", port, address=FIRST))
        for _ in range(2):
            names.wait_until_asked_again(WORKER)
            for _ in range(REQUESTS // 2):
                assert client.post("/estimate-body", json={}).json()["backend"] == "new"
        assert stranger.seen == []


def test_a_worker_that_goes_away_and_comes_back_under_another_address_is_found(names: NameServer) -> None:
    port = free_port()
    with edge_before(names, port) as client:
        with Backend("old", port, address=FIRST):
            wait_until(lambda: answers_with(client, "old"), "the old worker answers")
        del names.names[WORKER]
        wait_until(lambda: client.get("/health").status_code == 502, "nobody is there")
        names.wait_until_asked_again(WORKER)
        with Backend("new", port, address=SECOND):
            names.names[WORKER] = (SECOND,)
            names.wait_until_asked_again(WORKER, QUESTIONS_UNTIL_FOUND)
            assert answers_with(client, "new")


def test_no_post_is_lost_while_one_of_two_workers_refuses(names: NameServer) -> None:
    port = free_port()
    names.names[WORKER] = (FIRST, SECOND)
    with Backend("ready", port, address=SECOND) as ready, edge_before(names, port) as client:
        wait_until(lambda: answers_with(client, "ready"), "the worker that is ready answers")
        ready.seen.clear()
        assert {client.post("/estimate-body", json={}).status_code for _ in range(REQUESTS)} == {200}
        assert len(ready.seen) == REQUESTS


def test_a_post_on_which_a_worker_breaks_off_is_answered_by_the_other(names: NameServer) -> None:
    def break_off(seen: Seen) -> Reply:
        if seen.method == "POST":
            raise ConnectionResetError
        return Reply()

    port = free_port()
    names.names[WORKER] = (FIRST, SECOND)
    with (
        Backend("dying", port, address=FIRST, reply=break_off) as dying,
        Backend("other", port, address=SECOND),
        edge_before(names, port) as client,
    ):
        wait_until(lambda: answers_with(client, "other"), "the other worker answers")
        assert {client.post("/estimate-body", json={}).json()["backend"] for _ in range(REQUESTS)} == {"other"}
        assert [seen.method for seen in dying.seen].count("POST") >= 1, "it was asked"


def test_an_address_that_is_silent_is_put_aside_after_one_try_and_costs_no_answer(names: NameServer) -> None:
    """It is tried again after a second: on a machine that is slow, by a few more requests."""
    port = free_port()
    names.names[WORKER] = (FIRST, SECOND)
    with (
        silent_address(FIRST, port),
        Backend("other", port, address=SECOND),
        edge_and_client(names, port) as (edge, client),
    ):
        wait_until(lambda: answers_with(client, "other"), "the other worker answers")
        ids = {f"counted-{number}" for number in range(REQUESTS)}
        assert {client.get("/health", headers={"X-Request-Id": each}).status_code for each in ids} == {200}
        wait_until(lambda: ids <= {line["request_id"] for line in edge.log_lines()}, "all lines are written")
        tried = [line for line in edge.log_lines() if line["request_id"] in ids and FIRST in line["upstream"]]
        assert len(tried) < REQUESTS / 2


@contextmanager
def silent_address(address: str, port: int) -> Iterator[None]:
    """Nobody takes connections and nobody refuses them, as with the address of a container that is gone."""
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield


def test_two_workers_that_say_503_are_not_put_aside(names: NameServer) -> None:
    def no_model(seen: Seen) -> Reply:
        return Reply(503 if seen.method == "POST" else 200)

    port = free_port()
    names.names[WORKER] = (FIRST, SECOND)
    with (
        Backend("first", port, address=FIRST, reply=no_model),
        Backend("second", port, address=SECOND, reply=no_model),
        edge_before(names, port) as client,
    ):
        wait_until(lambda: answers_with(client, "first"), "a worker answers")
        for _ in range(REQUESTS // 2):
            assert client.post("/estimate-body", json={}).status_code == 503
            assert client.get("/health").status_code == 200
