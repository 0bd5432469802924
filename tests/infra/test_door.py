"""Only ports 80 and 443 answer, and only what is meant to (stories 2.1, 3.1, 3.2, NFR-3.5, NFR-3.6)."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from tests.infra.engine.calls import CLIENT_SECONDS, Caller
from tests.infra.engine.commands import run
from tests.infra.engine.host import Host
from tests.infra.engine.internet import DOMAIN
from tests.infra.engine.namespaces import HOST_ADDRESS, INTERNET
from tests.infra.engine.rig import Rig
from tests.infra.engine.waiting import wait_for

STAND_INS = ("nginx", "grafana")

ALL_PORTS = range(1, 65_536)
SCAN_SECONDS = 1.0
"""A closed port refuses at once; silence is waited for."""

BRIDGES = "172.16.0.0/12"
"""Where Docker lays its networks."""

WORKER_PORT = 8_000
REDIS_PORT = 6_379

HIDDEN = ("/metrics", "/docs", "/openapi.json", "/", "/.env", "/health/", "/estimate-body/x")

HEADERS = {
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}

BURST = 60
"""More than nginx lets one client send in a moment: 20 and ten a second."""


def test_of_all_ports_only_80_and_443_answer_from_another_network(rig: Rig, host: Host) -> None:
    open_ports = scan(HOST_ADDRESS)
    with route_to_containers():
        inside = {
            name: is_open(host.docker.address(host.container(name), host.network), port)
            for name, port in (("worker", WORKER_PORT), ("redis", REDIS_PORT))
        }
    assert open_ports == [80, 443]
    assert inside == {"worker": False, "redis": False}
    rig.report.proved(
        "only 80 and 443 answer from another network namespace",
        f"{len(ALL_PORTS)} ports asked; worker and Redis silent even with a route to their addresses",
        stand_ins=STAND_INS,
    )


def test_plain_http_leads_to_https_but_for_the_certificate_authority(rig: Rig, host: Host, caller: Caller) -> None:
    for method in ("GET", "POST"):
        answer = caller.ask(method, "/estimate-body?a=1&b=%20", scheme="http")
        assert answer.status_code == 308
        assert answer.headers["location"] == f"https://{DOMAIN}/estimate-body?a=1&b=%20"
    challenge = caller.ask("GET", "/.well-known/acme-challenge/none", scheme="http")
    assert challenge.status_code == 404
    with pytest.raises(httpx.RemoteProtocolError):
        caller.ask("GET", "/", scheme="http", headers={"Host": "other.example.com"})
    rig.report.proved(
        "80: 308 to HTTPS with path and query, ACME path not, other hosts dropped", "5 of 5", stand_ins=STAND_INS
    )


def test_443_serves_health_sizes_and_grafana_and_nothing_else(
    rig: Rig, host: Host, caller: Caller, grafana: None
) -> None:
    statuses = {path: caller.ask("GET", path).status_code for path in HIDDEN}
    assert set(statuses.values()) == {404}
    answer = caller.ask("GET", "/health")
    assert answer.json()["status"] == "ok"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    photo = {"image_url": rig.internet.upload("person-1.jpg"), "height_cm": 178}
    assert caller.ask("POST", "/estimate-body", json=photo).json()["recommended_size"]
    with (
        pytest.raises(httpx.ConnectError, match=r"(?i)unrecognized|name"),
        httpx.Client(verify=caller.context(), trust_env=False) as client,
    ):
        client.get(f"https://{HOST_ADDRESS}/health", extensions={"sni_hostname": "other.example.com"})
    rig.report.proved(
        "443: /health, /estimate-body and /grafana/ answer with security headers; other names end in the handshake",
        f"{len(HIDDEN)} hidden paths 404",
        stand_ins=STAND_INS,
    )


def test_grafana_keeps_its_sub_path_its_host_and_its_websockets(
    rig: Rig, host: Host, caller: Caller, grafana: None
) -> None:
    assert caller.ask("GET", "/grafana?x=1").headers["location"].endswith("/grafana/?x=1")
    told = caller.ask("GET", "/grafana/login?next=%2F", headers={"Origin": f"https://{DOMAIN}"}).json()
    assert told["path"] == "/grafana/login?next=%2F"
    assert (told["headers"]["host"], told["headers"]["origin"]) == (DOMAIN, f"https://{DOMAIN}")
    assert websocket_echo(caller, b"ping") == b"ping"
    rig.report.proved(
        "/grafana to /grafana/, sub-path not doubled, Host and Origin kept, websocket (grafana/grafana #66724, #70110)",
        "4 of 4",
        stand_ins=STAND_INS,
    )


def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(rig: Rig, host: Host, caller: Caller) -> None:
    spoken = {
        version.name: speaks(caller, version)
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    }
    assert spoken == {"TLSv1": False, "TLSv1_1": False, "TLSv1_2": True, "TLSv1_3": True}
    rig.report.proved("TLS versions", ", ".join(name for name, yes in spoken.items() if yes), stand_ins=STAND_INS)


def test_too_many_requests_of_one_client_are_told_when_to_come_again(rig: Rig, host: Host, caller: Caller) -> None:
    answers = asyncio.run(burst(caller))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert caller.ask("GET", "/health").is_success
    counted = Counter(answer.status_code for answer in answers)
    rig.report.proved("429 with Retry-After for a burst of one client", str(dict(counted)), stand_ins=STAND_INS)


def test_a_request_id_goes_through_to_the_workers_log_and_back(rig: Rig, host: Host, caller: Caller) -> None:
    name = f"infra-{uuid4()}"
    photo = {"image_url": rig.internet.upload("person-1.jpg"), "height_cm": 178}
    answer = caller.ask("POST", "/estimate-body", json=photo, headers={"X-Request-Id": name})
    assert answer.headers["x-request-id"] == name
    assert name in host.log("worker")
    wait_for("nginx has logged it", lambda: name in host.log("nginx"), seconds=CLIENT_SECONDS)
    assert caller.ask("GET", "/health").headers["x-request-id"].startswith("req_")
    rig.report.proved("request id", "in the answer, in the worker's log and in nginx's", stand_ins=STAND_INS)


def scan(address: str) -> list[int]:
    """The ports that accept a connection, asked one after the other."""
    return [port for port in ALL_PORTS if is_open(address, port)]


@contextmanager
def route_to_containers() -> Iterator[None]:
    """The internet knows the way to the containers' addresses, as a machine in the same network may."""
    route = ("ip", "-n", INTERNET, "route")
    run(*route, "add", BRIDGES, "via", HOST_ADDRESS)
    try:
        yield
    finally:
        run(*route, "delete", BRIDGES)


def is_open(address: str, port: int) -> bool:
    """Whether a connection is taken."""
    try:
        socket.create_connection((address, port), SCAN_SECONDS).close()
    except OSError:
        return False
    return True


def speaks(caller: Caller, version: ssl.TLSVersion) -> bool:
    """Whether a handshake of exactly this version succeeds."""
    context = caller.context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # this side would refuse the old ones itself
    context.minimum_version = context.maximum_version = version
    try:
        with socket.create_connection((HOST_ADDRESS, 443), CLIENT_SECONDS) as connection:
            context.wrap_socket(connection, server_hostname=DOMAIN).close()
    except ssl.SSLError:
        return False
    return True


def websocket_echo(caller: Caller, words: bytes) -> bytes:
    """What comes back over a websocket to Grafana."""
    head = (
        "GET /grafana/api/live/ws HTTP/1.1\r\n"
        f"Host: {DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with (
        socket.create_connection((HOST_ADDRESS, 443), CLIENT_SECONDS) as plain,
        caller.context().wrap_socket(plain, server_hostname=DOMAIN) as connection,
    ):
        connection.sendall(head.encode())
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101")
        connection.sendall(words)
        return connection.recv(4096)


async def burst(caller: Caller) -> list[httpx.Response]:
    """Requests that the worker refuses at once, all together."""
    async with httpx.AsyncClient(verify=caller.context(), trust_env=False, timeout=CLIENT_SECONDS) as client:
        one = [
            client.post(
                f"https://{HOST_ADDRESS}/estimate-body",
                json={},
                headers={"Host": DOMAIN},
                extensions={"sni_hostname": DOMAIN},
            )
            for _ in range(BURST)
        ]
        return list(await asyncio.gather(*one))
