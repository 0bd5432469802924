"""What surrounds every request: its id on every log line and in the answer, a bound on its body, no unhandled error."""

import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.size_rec import Problem
from size_rec.problems import INTERNAL, INVALID_INPUT, REQUEST_TOO_LARGE, ProblemKind

REQUEST_ID_HEADER: Final = "X-Request-Id"
ACCEPTED_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Letters, digits and a little punctuation: it goes into logs and headers as it is."""

MAX_BODY_BYTES: Final = 16 * 1024
"""A request is an address of at most 4 096 characters and two numbers."""

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"

HTTP_PROBLEMS: Final = {
    HTTPStatus.NOT_FOUND: ProblemKind(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: ProblemKind(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take this method."
    ),
    REQUEST_TOO_LARGE.status: REQUEST_TOO_LARGE,
}

log = structlog.get_logger()


def accept_request_id(given: str | None) -> str:
    """The caller's request id if it is well-formed, else a new one."""
    return given if given and ACCEPTED_REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4()}"


def problem_response(
    kind: ProblemKind, request_id: str, *, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem body (RFC 9457)."""
    body = Problem(
        title=kind.status.phrase,
        status=kind.status,
        code=kind.code,
        detail=detail or kind.detail,
        request_id=request_id,
    )
    return JSONResponse(
        body.model_dump(), status_code=kind.status, media_type=PROBLEM_MEDIA_TYPE, headers=dict(headers or {})
    )


class RequestEdges:
    """ASGI middleware; the outermost one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                log.exception("request_failed", path=scope["path"])
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


async def answer_invalid_input(request: Request, error: Exception) -> JSONResponse:
    """422 with the names of the wrong fields; what was sent is never repeated."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    detail = "; ".join(_fault(fault) for fault in faults) or INVALID_INPUT.detail
    return problem_response(INVALID_INPUT, request.state.request_id, detail=f"{detail}.")


def _fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in fault["loc"][1:] if isinstance(part, str))
    message = "is not JSON" if fault["type"] == "json_invalid" else str(fault["msg"])
    known = where if where in {"image_url", "height_cm", "weight_kg"} else "request"
    return f"{known}: {message}"


async def answer_http_error(request: Request, error: Exception) -> JSONResponse:
    """Unknown paths, wrong methods, unreadable and oversized bodies as problem bodies too."""
    status = HTTPStatus(error.status_code if isinstance(error, StarletteHTTPException) else INTERNAL.status)
    kind = HTTP_PROBLEMS.get(status, ProblemKind(status, "http_error", status.description))
    headers = error.headers if isinstance(error, StarletteHTTPException) else None
    return problem_response(kind, request.state.request_id, headers=headers)
