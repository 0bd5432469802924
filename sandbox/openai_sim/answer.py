"""The answers' bytes, and the ASGI responses that misbehave while sending them."""

import asyncio
import base64
import json
import math
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.openai_sim.edit_request import EditRequest
from sandbox.openai_sim.errors import ApiError, WaitNamedIn
from sandbox.openai_sim.faults import AnswerDefect
from sandbox.openai_sim.held import HeldRequests
from sandbox.openai_sim.picture import compose, fixed_result
from sandbox.openai_sim.profiles import Size
from sandbox.openai_sim.usage import half_cached, usage

DRIP_PIECES: Final = 200
"""A slow drip comes in this many pieces: each well within any client's read timeout, the whole not."""

_NOT_A_PICTURE: Final = base64.b64encode(b"This is text where a picture should be.")


class ClientGone(Exception):
    """The client hung up, or the simulator is being stopped: nobody waits for the answer."""


async def wait_while_client_listens(
    receive: Receive, closing: asyncio.Event, seconds: float | None, until: asyncio.Event | None = None
) -> None:
    """Waits ``seconds`` (``None``: for ever) or ``until`` then; raises :class:`ClientGone` as soon as nobody listens.

    The request's body must have been read: after it, ASGI's ``receive`` returns only on a disconnect.
    """
    gone = asyncio.ensure_future(receive())
    stopping = asyncio.ensure_future(closing.wait())
    due = [] if until is None else [asyncio.ensure_future(until.wait())]
    done, waiting = await asyncio.wait({gone, stopping, *due}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if not done.isdisjoint({gone, stopping}):
        raise ClientGone


def edit_answer(edit: EditRequest, defect: AnswerDefect | None, *, fixed: bool) -> bytes:
    """The JSON body of a 200 answer, with ``defect`` worked in. Uses the processor: run it beside the event loop."""
    picture = _picture_base64(edit, defect, fixed=fixed)
    results = b"" if defect is AnswerDefect.EMPTY_DATA else b",".join([b'{"b64_json":"' + picture + b'"}'] * edit.count)
    fields: dict[str, object] = {
        "background": edit.background,
        "output_format": edit.output_format,
        "quality": edit.quality,
        "size": str(edit.size),
    }
    if defect is not AnswerDefect.NO_USAGE:
        billed = usage(edit)
        if defect is AnswerDefect.CACHED_INPUT:
            billed["input_tokens_details"] |= half_cached(billed["input_tokens_details"])
        hidden = "_details" if defect is AnswerDefect.USAGE_WITHOUT_DETAILS else None
        fields["usage"] = {name: value for name, value in billed.items() if hidden is None or hidden not in name}
    # The picture is put in by hand: the JSON encoder would look at every one of its characters.
    head = b'{"created":%d,"data":[' % int(time.time())
    body = head + results + b"]," + json.dumps(fields).encode()[1:]
    return body[: len(body) // 2] if defect is AnswerDefect.MALFORMED_JSON else body


def error_answer(error: ApiError, headers: Mapping[str, str]) -> Response:
    """A refusal as the API sends it."""
    if error.retry_after_seconds is not None:
        headers = {**headers, **_wait_headers(error.retry_after_seconds, error.wait_named_in)}
    return json_answer(json.dumps(error.body()).encode(), headers, status=error.status)


def _wait_headers(seconds: float, named_in: WaitNamedIn) -> dict[str, str]:
    match named_in:
        case WaitNamedIn.HEADERS:
            # Rounded up: a client that waits exactly that long must not come too early.
            return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}
        case WaitNamedIn.DATE:
            return {"retry-after": formatdate(math.ceil(time.time() + seconds), usegmt=True)}
        case WaitNamedIn.RESET:
            minutes, rest_seconds = divmod(seconds, 60)
            reset = f"{minutes:.0f}m{rest_seconds:g}s" if minutes else f"{rest_seconds:g}s"
            return {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}
        case WaitNamedIn.MESSAGE:
            return {}


def json_answer(body: bytes, headers: Mapping[str, str], *, status: int = 200) -> Response:
    """Any JSON answer."""
    return Response(body, status_code=status, headers=dict(headers), media_type="application/json")


def proxy_page(status: int, headers: Mapping[str, str]) -> Response:
    """An error page of a proxy in front of the API: HTML, not JSON."""
    page = f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"
    return Response(page, status_code=status, headers=dict(headers), media_type="text/html")


class DroppedAnswer(Response):
    """Promises a whole answer and ends after half of it; the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the head and the first half."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


class DrippedAnswer(Response):
    """Sends its body in small pieces spread over ``seconds``."""

    def __init__(self, body: bytes, headers: Mapping[str, str], *, seconds: float, closing: asyncio.Event) -> None:
        super().__init__(body, headers=dict(headers), media_type="application/json")
        self._pause_seconds = seconds / DRIP_PIECES
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until done; raises :class:`ClientGone` when nobody listens any more."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        piece_bytes = -(-len(self.body) // DRIP_PIECES)
        for start in range(0, len(self.body), piece_bytes):
            await wait_while_client_listens(receive, self._closing, self._pause_seconds)
            piece = bytes(self.body[start : start + piece_bytes])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class AnswerHeldMidway(Response):
    """Sends half of its body, and the rest when it is released."""

    def __init__(self, body: bytes, headers: Mapping[str, str], *, held: HeldRequests, closing: asyncio.Event) -> None:
        super().__init__(body, headers=dict(headers), media_type="application/json")
        self._held = held
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until done; raises :class:`ClientGone` when nobody listens any more."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)
        half = len(body) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        with self._held.one_more() as released:
            await wait_while_client_listens(receive, self._closing, None, until=released)
        await send({"type": "http.response.body", "body": body[half:], "more_body": False})


def _picture_base64(edit: EditRequest, defect: AnswerDefect | None, *, fixed: bool) -> bytes:
    if defect is AnswerDefect.NOT_A_PICTURE:
        return _NOT_A_PICTURE
    output_format = "png" if defect is AnswerDefect.PNG else edit.output_format
    if fixed and defect is not AnswerDefect.TRUNCATED_PICTURE:
        return _fixed_base64(edit.size, edit.profile.name, output_format)
    picture = fixed_result(edit.size, edit.profile.name, output_format) if fixed else _composed(edit, output_format)
    if defect is AnswerDefect.TRUNCATED_PICTURE:
        picture = picture[: len(picture) // 2]
    return base64.b64encode(picture)


def _composed(edit: EditRequest, output_format: str) -> bytes:
    return compose(
        tuple(image.preview for image in edit.images if image.preview is not None),
        size=edit.size,
        model=edit.profile.name,
        output_format=output_format,
        compression=edit.output_compression,
        transparent=edit.background == "transparent",
    )


@lru_cache(maxsize=16)
def _fixed_base64(size: Size, model: str, output_format: str) -> bytes:
    return base64.b64encode(fixed_result(size, model, output_format))
