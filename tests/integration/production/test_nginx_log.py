"""The access log is JSON whatever a caller sends; the request id joins it to the worker's log (Pattern 1, NFR-3.3)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.backends import Backend
from tests.support.edge import DOMAIN, Edge, wait_until

MADE_HERE = re.compile(r"req_[0-9a-f]{32}")


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    with edge.client() as client:
        yield client


def line_of(edge: Edge, request_id: str) -> dict[str, Any]:
    """The log line of a request, which comes after its answer."""

    def found() -> list[dict[str, Any]]:
        return [line for line in edge.log_lines() if line["request_id"] == request_id]

    wait_until(lambda: bool(found()), f"a line for {request_id}")
    (line,) = found()
    return line


def the_request_id(answer: bytes) -> bytes:
    """In an answer as it came over the connection."""
    (request_id,) = re.findall(rb"\r\nX-Request-Id: (\S+)\r\n", answer)
    return bytes(request_id)


@pytest.mark.parametrize("given", ["a", "order-17:retry.2_b", "x" * 128])
def test_a_good_request_id_is_kept_in_the_answer_the_log_and_for_the_worker(
    edge: Edge, client: httpx.Client, backend: Backend, given: str
) -> None:
    answer = client.get("/health", headers={"X-Request-Id": given})
    assert answer.headers.get_list("X-Request-Id") == [given]
    assert backend.seen[0].headers["x-request-id"] == given
    assert line_of(edge, given)["status"] == 200


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", 'a"b', "a\\b", "{}", "é", "a,b"])
def test_any_other_is_replaced_by_one_made_here(
    edge: Edge, client: httpx.Client, backend: Backend, given: str | None
) -> None:
    headers = {} if given is None else {b"X-Request-Id": given.encode("latin-1")}
    answer = client.get("/health", headers=headers)
    made = answer.headers["X-Request-Id"]
    assert MADE_HERE.fullmatch(made)
    assert backend.seen[0].headers["x-request-id"] == made
    assert line_of(edge, made)["path"] == "/health"


def test_two_request_ids_at_once_are_none(edge: Edge, client: httpx.Client, backend: Backend) -> None:
    answer = client.get("/health", headers=[("X-Request-Id", "one"), ("X-Request-Id", "two")])
    assert MADE_HERE.fullmatch(answer.headers["X-Request-Id"])


def test_a_line_says_who_asked_what_and_how_it_went_without_the_query(
    edge: Edge, client: httpx.Client, backend: Backend
) -> None:
    client.post(
        "/estimate-body?token=s3cret",
        headers={"X-Request-Id": "told", "Referer": "https://shop.test/?s3cret", "Cookie": "s3cret"},
        json={"image_url": "https://photos.test/a.jpg?s3cret"},
    )
    line = line_of(edge, "told")
    assert "s3cret" not in json.dumps(line)
    assert {name: line[name] for name in ("level", "event", "method", "path", "status", "upstream_status")} == {
        "level": "info",
        "event": "http_request",
        "method": "POST",
        "path": "/estimate-body",
        "status": 200,
        "upstream_status": "200",
    }
    assert line["seconds"] >= 0
    assert line["sent_bytes"] > 0


@pytest.mark.parametrize(
    "target",
    [
        b'/a"b\\c',
        b"/a%0Ab%22%5C",
        b"/\xff\xfe\xc3",
        b"/\xed\xa0\x80",
        b"/a\\u0000",
        b'/","status":200,"x":"',
        b"/" + b"x" * 6000,
        b"/a?b?c=%",
        b"//../..",
    ],
)
def test_every_line_is_json_in_utf8_whatever_the_path(edge: Edge, target: bytes) -> None:
    with edge.tls() as connection:
        connection.sendall(
            b"GET "
            + target
            + b' HTTP/1.1\r\nUser-Agent: \xff"\\\t\xe2\x28\r\nConnection: close\r\nHost: '
            + DOMAIN.encode()
            + b"\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    request_id = the_request_id(answer)
    line_of(edge, request_id.decode())
    (raw,) = [raw for raw in edge.raw_log().splitlines() if request_id in raw]
    line = json.loads(raw.decode("utf-8"))
    assert line["path"].isascii()
    assert "?" not in line["path"]
    assert len(line["path"]) <= 500
    assert 400 <= line["status"] < 500


def test_what_is_no_http_leaves_json_as_well(edge: Edge) -> None:
    before = edge.raw_log().count(b"\n")
    for nonsense in (b"\x00\x01\xff\r\n\r\n", b"GET\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n"):
        with edge.tls() as connection:
            connection.sendall(nonsense)
            while connection.recv(4096):
                pass
    wait_until(lambda: edge.raw_log().count(b"\n") >= before + 1, "a line more")
    assert all(isinstance(line["status"], int) for line in edge.log_lines())
