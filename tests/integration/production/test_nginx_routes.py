"""What the internet reaches through nginx, what it does not, and what each answer carries (stories 3.1 and 3.2)."""

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from models.problems import Problem
from sandbox.servers.processes import LOOPBACK, free_port
from tests.support.backends import Backend, Reply
from tests.support.edge import DOMAIN, GRAFANA, WAIT_SECONDS, WORKER, Edge, wait_until
from tests.support.name_server import NameServer
from tests.support.size_service import READY
from web.app import create_app
from web.openapi import PROBLEM_MEDIA_TYPE
from web.server import HttpServer

ON_EVERY_ANSWER = {
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    with edge.client() as client:
        yield client


def test_health_and_size_recommendation_reach_the_real_worker(name_server: NameServer) -> None:
    app = create_app(health=lambda: READY, registry=CollectorRegistry())
    worker = HttpServer(app, host=LOOPBACK, port=free_port())
    edge = Edge(name_server.address, worker._server.config.port)
    edge.certify()
    worker.start()
    try:
        with edge, edge.client() as client:
            wait_until(lambda: client.get("/health").status_code == 200, "nginx has found the worker")
            health = client.get("/health")
            measured = client.post("/estimate-body", json={"image_url": "https://example.com/a.jpg", "height_cm": 170})
            assert (health.json()["status"], health.json()["model_loaded"]) == ("ok", True)
            assert measured.json()["code"] == "model_unavailable", "the worker's own answer: it has no model here"
            for path in ("/metrics", "/docs", "/openapi.json"):
                inside = httpx.get(
                    f"http://{LOOPBACK}:{worker._server.config.port}{path}", trust_env=False, timeout=WAIT_SECONDS
                )
                assert (inside.status_code, client.get(path).status_code) == (200, 404), path
    finally:
        worker.stop()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/healthy",
        "/health/",
        "/health/../metrics",
        "/health/..%2fmetrics",
        "/estimate-body/x",
        "/grafana/../metrics",
        "/grafana/%2e%2e/metrics",
        "/grafana/metrics",
        "/grafana//metrics",
        "/grafana/%6detrics",
        "/GRAFANA/",
        "/.env",
        "/.well-known/acme-challenge/token",
    ],
)
def test_everything_else_is_nothing_here_and_reaches_nobody(client: httpx.Client, backend: Backend, path: str) -> None:
    # httpx would tidy the path; as bytes it goes out as it is.
    answer = client.send(_request_as_written(client, path))
    assert answer.status_code == 404
    assert answer.text.startswith("There is nothing at this address.")
    assert backend.seen == []


def _request_as_written(client: httpx.Client, path: str) -> httpx.Request:
    request = client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    request.extensions["target"] = path.encode()
    return request


@pytest.mark.parametrize("spelled", ["/health", "//health", "/./health", "/x/../health", "/%68ealth", "/health?a=b"])
def test_the_worker_is_asked_for_exactly_the_path_however_it_was_spelled(
    client: httpx.Client, backend: Backend, spelled: str
) -> None:
    assert client.send(_request_as_written(client, spelled)).status_code == 200
    assert backend.seen[0].target.partition("?")[0] == "/health"


def test_grafana_gets_its_sub_path_the_host_and_the_origin(client: httpx.Client, backend: Backend) -> None:
    answer = client.post("/grafana/api/x%2Fy?panel=1", headers={"Origin": f"https://{DOMAIN}"}, json={})
    seen = answer.json()
    assert seen["target"] == "/grafana/api/x%2Fy?panel=1"
    assert (seen["headers"]["host"], seen["headers"]["origin"]) == (DOMAIN, f"https://{DOMAIN}")
    assert seen["headers"]["x-forwarded-proto"] == "https"


@pytest.mark.parametrize(("asked", "sent_to"), [("/grafana", "/grafana/"), ("/grafana?a=b", "/grafana/?a=b")])
def test_grafana_without_its_slash_is_sent_there_once(client: httpx.Client, asked: str, sent_to: str) -> None:
    answer = client.get(asked)
    assert (answer.status_code, answer.headers["Location"]) == (308, sent_to)


def test_a_redirect_of_grafana_is_passed_on_as_it_is(name_server: NameServer) -> None:
    with Backend("grafana", free_port(), reply=lambda _: Reply(302, {"Location": "/grafana/login"})) as grafana:
        edge = Edge(name_server.address, grafana.port)
        edge.certify()
        with edge, edge.client() as client:
            wait_until(lambda: client.get("/grafana/").status_code == 302, "nginx has found Grafana")
            assert client.get("/grafana/").headers["Location"] == "/grafana/login"


def test_a_websocket_of_grafana_speaks_both_ways(edge: Edge, backend: Backend) -> None:
    with edge.tls() as connection:
        connection.sendall(
            f"GET /grafana/api/live/ws HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        for message in (b"\x81\x05hello", b"\x81\x05again"):
            connection.sendall(message)
            assert connection.recv(4096) == message


@pytest.mark.parametrize(("path", "protocol"), [("/grafana/", "h2c"), ("/health", "websocket")])
def test_no_other_upgrade_is_passed_on(client: httpx.Client, backend: Backend, path: str, protocol: str) -> None:
    client.get(path, headers={"Connection": "Upgrade", "Upgrade": protocol})
    assert "upgrade" not in backend.seen[0].headers


def test_who_a_caller_claims_to_be_is_not_passed_on(client: httpx.Client, backend: Backend) -> None:
    client.get(
        "/health",
        headers={
            "X-Forwarded-For": "10.0.0.1",
            "X-Real-IP": "10.0.0.1",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "evil.example",
            "Forwarded": "for=10.0.0.1",
        },
    )
    headers = backend.seen[0].headers
    assert (headers["x-forwarded-for"], headers["x-real-ip"]) == (LOOPBACK, LOOPBACK)
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == ("https", DOMAIN)
    assert "forwarded" not in headers


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("path", ["/health", "/estimate-body", "/grafana", "/grafana/", "/nothing"])
def test_every_answer_carries_the_security_headers_once(edge: Edge, backend: Backend, path: str, http2: bool) -> None:
    with edge.client(http2=http2) as client:
        answer = client.get(path)
    for name, text in ON_EVERY_ANSWER.items():
        assert answer.headers.get_list(name) == [text], name
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Server"] == "nginx", "without its version"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 9000, b"414"),
        (b"GET /%00", b"400"),
        (b"TRACE /health", b"405"),
        (b"nonsense\r\n", b"400"),
    ],
    ids=["long", "zero", "trace", "nonsense"],
)
def test_what_nginx_refuses_by_itself_carries_them_too(edge: Edge, request_: bytes, status: bytes) -> None:
    with edge.tls() as connection:
        connection.sendall(request_ + f" HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 " + status)
    for name, text in ON_EVERY_ANSWER.items():
        assert f"\r\n{name}: {text}\r\n".encode() in answer, name


def test_headers_of_an_upstream_do_not_contradict_ours(name_server: NameServer) -> None:
    theirs = {"X-Frame-Options": "SAMEORIGIN", "Strict-Transport-Security": "max-age=0", "X-Request-Id": "another"}
    with Backend("grafana", free_port(), reply=lambda _: Reply(200, theirs)) as grafana:
        edge = Edge(name_server.address, grafana.port)
        edge.certify()
        with edge, edge.client() as client:
            wait_until(lambda: client.get("/grafana/").status_code == 200, "nginx has found Grafana")
            answer = client.get("/grafana/", headers={"X-Request-Id": "ours"})
    assert answer.headers.get_list("X-Frame-Options") == ["DENY"]
    assert answer.headers.get_list("Strict-Transport-Security") == ["max-age=63072000"]
    assert answer.headers.get_list("X-Request-Id") == ["ours"]


@pytest.mark.parametrize("upstream_names", [{}, {WORKER: (LOOPBACK,), GRAFANA: (LOOPBACK,)}], ids=["unknown", "down"])
def test_without_upstreams_it_starts_says_so_in_plain_words_and_finds_them_by_the_next_answer(
    upstream_names: dict[str, tuple[str, ...]],
) -> None:
    with NameServer() as names:
        names.names = upstream_names
        port = free_port()
        edge = Edge(names.address, port)
        edge.certify()
        with edge, edge.client() as client:
            api, page = client.get("/health"), client.get("/grafana/")
            assert (api.status_code, page.status_code) == (502, 502)
            assert api.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
            assert Problem.model_validate_json(api.content).code == "worker_unavailable"
            assert page.headers["Content-Type"] == "text/plain"
            assert page.text.startswith("This service is being started or updated. Please try again in a moment.")
            assert page.headers["X-Request-Id"] in page.text
            for answer in (api, page):
                assert {name: answer.headers.get(name) for name in ON_EVERY_ANSWER} == ON_EVERY_ANSWER
                assert answer.headers["Retry-After"]

            with Backend("late", port):
                names.names = {WORKER: (LOOPBACK,), GRAFANA: (LOOPBACK,)}
                for name in (WORKER, GRAFANA):
                    names.wait_until_asked_again(name, times=2)  # with the second it has taken in the first answer
                assert (client.get("/health").status_code, client.get("/grafana/").status_code) == (200, 200)
