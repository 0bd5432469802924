"""What surrounds every request: its id on every log line and in the answer, a bound on its body, no unhandled error."""

import re
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.problems import (
    INTERNAL,
    INVALID_INPUT,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REQUEST_TOO_LARGE,
    Problem,
    ProblemKind,
)
from web.openapi import PROBLEM_MEDIA_TYPE
from web.request_faults import UNREADABLE, explain, known_fields

REQUEST_ID_HEADER: Final = "X-Request-Id"
ACCEPTED_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Letters, digits and a little punctuation: it goes into logs and headers as it is."""

MAX_BODY_BYTES: Final = 24 * 1024
"""A request is an address of at most ``MAX_URL_LENGTH`` characters, two numbers, a flag and a size chart, which takes
up to 15 KB where its labels are emoji written as JSON escapes (``models/size_chart.py``)."""

HTTP_PROBLEMS: Final = {kind.status: kind for kind in (REQUEST_TOO_LARGE, NOT_FOUND, METHOD_NOT_ALLOWED)} | {
    # The framework's way to say that parsing failed otherwise than by JSON's grammar: nesting, digits, encoding.
    HTTPStatus.BAD_REQUEST: replace(INVALID_INPUT, detail=UNREADABLE),
}

CountRefused = Callable[[str], None]
"""Takes the code of a problem that was answered."""

ErrorHandler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

log = structlog.get_logger()


def accept_request_id(given: str | None) -> str:
    """The caller's request id if it is well-formed, else a new one."""
    return given if given and ACCEPTED_REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4()}"


def problem_response(kind: ProblemKind, request_id: str, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem body (RFC 9457)."""
    body = Problem(
        title=kind.status.phrase,
        status=kind.status,
        code=kind.code,
        detail=kind.detail,
        request_id=request_id,
    )
    return JSONResponse(
        body.model_dump(), status_code=kind.status, media_type=PROBLEM_MEDIA_TYPE, headers=dict(headers or {})
    )


class RequestEdges:
    """ASGI middleware; the outermost one."""

    def __init__(self, app: ASGIApp, *, count_refused: CountRefused) -> None:
        self._app = app
        self._count_refused = count_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = accept_request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        answering = False

        async def send_with_id(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, _bounded(receive), send_with_id)
            except Exception:
                log.exception("request_failed")
                self._count_refused(INTERNAL.code)
                if answering:
                    raise
                await problem_response(INTERNAL, request_id)(scope, receive, send_with_id)


def _bounded(receive: Receive) -> Receive:
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(REQUEST_TOO_LARGE.status)
        return message

    return receive_bounded


def error_handlers(count_refused: CountRefused) -> dict[int | type[Exception], ErrorHandler]:
    """Problem bodies for what the framework refuses; each is logged in one line and counted."""

    def refuse(
        request: Request, kind: ProblemKind, headers: Mapping[str, str] | None = None, **data: object
    ) -> JSONResponse:
        log.info("request_refused", code=kind.code, status=int(kind.status), **data)
        count_refused(kind.code)
        return problem_response(kind, request.state.request_id, headers=headers)

    async def answer_invalid_input(request: Request, error: RequestValidationError) -> Response:
        faults = error.errors()
        detail = explain(faults, request.headers.get("content-type", ""))
        return refuse(request, replace(INVALID_INPUT, detail=detail), fields=known_fields(faults))

    async def answer_http_error(request: Request, error: StarletteHTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        kind = HTTP_PROBLEMS.get(status, ProblemKind(status, "http_error", status.description))
        return refuse(request, kind, headers=error.headers)

    return {RequestValidationError: answer_invalid_input, StarletteHTTPException: answer_http_error}
