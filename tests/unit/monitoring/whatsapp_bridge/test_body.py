"""A request's body is waited for no longer, and read no further, than allowed."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request

from monitoring.whatsapp_bridge.web import LARGEST_BODY_BYTES, Refused, read_body

Receive = Callable[[], Awaitable[dict[str, Any]]]


def request(receive: Receive, *headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "method": "POST", "headers": list(headers)}, receive)


def parts(*bodies: bytes) -> Receive:
    """A client that sends these, and then nothing."""
    left = list(bodies)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": True}

    return receive


def refused(receive: Receive, *headers: tuple[bytes, bytes]) -> Refused:
    with pytest.raises(Refused) as found:
        asyncio.run(read_body(request(receive, *headers), within_seconds=0.05))
    return found.value


def test_a_body_that_does_not_end_is_given_up() -> None:
    fault = refused(parts(b"{"))
    assert (fault.status, fault.result) == (HTTPStatus.REQUEST_TIMEOUT, "malformed")


def test_a_body_that_says_that_it_is_too_long_is_not_read() -> None:
    fault = refused(parts(), (b"content-length", str(LARGEST_BODY_BYTES + 1).encode()))
    assert (fault.status, fault.result) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")


def test_a_body_that_turns_out_too_long_is_read_no_further() -> None:
    half = b" " * (LARGEST_BODY_BYTES // 2 + 1)
    assert refused(parts(half, half)).result == "too_large"


def test_a_client_that_leaves_is_no_error_of_ours() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert refused(receive).status == HTTPStatus.BAD_REQUEST
