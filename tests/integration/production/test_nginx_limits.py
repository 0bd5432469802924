"""What one caller may cost: requests a second, bytes, and time (ADR-3: rate limiting at the edge)."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from models.problems import REQUEST_TOO_LARGE, Problem
from sandbox.servers.processes import free_port
from tests.support.backends import Backend, Reply, Seen
from tests.support.edge import DOMAIN, WAIT_SECONDS, Edge, wait_until
from tests.support.name_server import NameServer
from web.edges import MAX_BODY_BYTES
from web.openapi import PROBLEM_MEDIA_TYPE

BURST = 20
MORE_THAN_A_BURST = 100
AT_ONCE = 8


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    with edge.client() as client:
        yield client


def client_from(edge: Edge, address: str) -> httpx.Client:
    client = edge.client()
    client._transport = httpx.HTTPTransport(verify=edge.trusting(), local_address=address)
    return client


def problem(answer: httpx.Response) -> Problem:
    """The answer as the API's own errors are."""
    assert answer.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
    told = Problem.model_validate_json(answer.content)
    assert (told.status, told.request_id) == (answer.status_code, answer.headers["X-Request-Id"])
    assert answer.headers["Strict-Transport-Security"]
    return told


def test_too_many_requests_of_one_client_get_429_and_when_to_come_back(edge: Edge, backend: Backend) -> None:
    with client_from(edge, "127.0.0.5") as greedy, client_from(edge, "127.0.0.6") as other:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda _: greedy.post("/estimate-body", json={}), range(MORE_THAN_A_BURST)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert Counter(answer.status_code for answer in answers) == {
            200: len(answers) - len(refused),
            429: len(refused),
        }
        assert BURST <= len(backend.seen) == len(answers) - len(refused), "what is refused reaches nobody"
        assert problem(refused[0]).code == "too_many_requests"

        assert other.post("/estimate-body", json={}).status_code == 200, "another client has places of its own"
        assert {greedy.get("/health").status_code for _ in range(MORE_THAN_A_BURST)} == {200}
        time.sleep(int(refused[0].headers["Retry-After"]))
        assert greedy.post("/estimate-body", json={}).status_code == 200


def test_a_request_as_large_as_the_worker_takes_is_passed_and_one_byte_more_is_not(
    client: httpx.Client, backend: Backend
) -> None:
    assert client.post("/estimate-body", content=b"x" * MAX_BODY_BYTES).status_code == 200
    assert len(backend.seen[-1].body) == MAX_BODY_BYTES
    backend.seen.clear()
    for content in (b"x" * (MAX_BODY_BYTES + 1), iter([b"x" * MAX_BODY_BYTES, b"x"])):
        answer = client.post("/estimate-body", content=content)
        told = problem(answer)
        assert answer.status_code == REQUEST_TOO_LARGE.status
        assert (told.code, told.detail) == (REQUEST_TOO_LARGE.code, REQUEST_TOO_LARGE.detail)
    assert backend.seen == []


def test_grafana_takes_a_dashboard_of_a_megabyte(client: httpx.Client, backend: Backend) -> None:
    assert client.post("/grafana/api/dashboards/db", content=b"x" * 1_000_000).status_code == 200
    assert len(backend.seen[-1].body) == 1_000_000


def test_who_sends_slowly_is_let_go(edge: Edge) -> None:
    with edge.tls() as half_a_head, edge.tls() as half_a_body:
        half_a_head.sendall(b"GET /health HTTP/1.1\r\n")
        half_a_body.sendall(f"POST /estimate-body HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: 100\r\n\r\n{{".encode())
        for connection in (half_a_head, half_a_body):
            while connection.recv(4096):
                pass


def test_a_worker_that_does_not_answer_is_given_up(name_server: NameServer) -> None:
    over = threading.Event()

    def slowly(seen: Seen) -> Reply:
        if seen.target == "/estimate-body":
            over.wait(WAIT_SECONDS)
        return Reply()

    with Backend("slow", free_port(), reply=slowly) as slow:
        edge = Edge(name_server.address, slow.port)
        edge.certify()
        with edge, edge.client() as client:
            wait_until(lambda: client.get("/health").status_code == 200, "nginx has found the worker")
            slow.seen.clear()
            answer = client.post("/estimate-body", json={})
            assert (answer.status_code, problem(answer).code) == (504, "deadline_exceeded")
            over.set()
            assert len(slow.seen) == 1, "it is not asked twice: there is no time left"


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503, 504])
def test_the_workers_own_answers_are_passed_as_they_are(name_server: NameServer, status: int) -> None:
    reply = Reply(status, {"Content-Type": PROBLEM_MEDIA_TYPE, "Retry-After": "7"})
    with Backend("worker", free_port(), reply=lambda _: reply) as worker:
        edge = Edge(name_server.address, worker.port)
        edge.certify()
        with edge, edge.client() as client:
            wait_until(lambda: client.get("/health").json().get("backend") == "worker", "nginx has found the worker")
            answer = client.post("/estimate-body")
            assert (answer.json()["backend"], answer.headers["Retry-After"]) == ("worker", "7")
            assert answer.headers["Strict-Transport-Security"]
