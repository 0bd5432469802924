"""What stands in front of a hosted API: a gateway that passes requests on, and at times answers in the API's place."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.servers.processes import LOOPBACK, free_port

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 2
"""For answers under way when the run is over."""

POLL_SECONDS: Final = 0.02
API_TIMEOUT_SECONDS: Final = 60.0
"""Longer than any client waits: the gateway itself never gives up first."""

NOT_PASSED_ON: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})
"""Headers about one connection (RFC 9110, 7.6.1), and the length, which is counted anew."""

FUNCTIONS: Final = "/rest/v1/rpc/"
UPLOADS: Final = "/storage/v1/object/virtual-tryon-images/"


class EdgeFault(StrEnum):
    """What the gateway says instead of passing requests on."""

    PAGE = "a 404 page for everything"
    REDIRECT = "a redirect for everything"
    OTHER_JSON = "200 with another JSON for every function"
    READ_ONLY = "every function meets a read-only database"
    BUCKET_MISSING = "every upload meets a missing bucket"
    UPLOAD_FORBIDDEN = "every upload is forbidden"
    UPLOAD_LOCKED = "every upload meets a locked object"


@dataclass(frozen=True, slots=True)
class _Instead:
    path_prefix: str
    status: int
    body: bytes
    headers: Mapping[str, str]


_HTML: Final = {"content-type": "text/html"}
_JSON: Final = {"content-type": "application/json"}

INSTEAD: Final = {
    EdgeFault.PAGE: _Instead("/", 404, b"<html><body><h1>404 page not found</h1></body></html>", _HTML),
    EdgeFault.REDIRECT: _Instead("/", 302, b"", {"location": "/maintenance"}),
    EdgeFault.OTHER_JSON: _Instead(FUNCTIONS, 200, b'{"message": "no route matched with those values"}', _JSON),
    EdgeFault.READ_ONLY: _Instead(
        FUNCTIONS,
        405,
        b'{"code": "25006", "details": null, "hint": null,'
        b' "message": "cannot execute SELECT FOR UPDATE in a read-only transaction"}',
        _JSON,
    ),
    EdgeFault.BUCKET_MISSING: _Instead(
        UPLOADS, 400, b'{"statusCode": "404", "error": "Bucket not found", "message": "Bucket not found"}', _JSON
    ),
    EdgeFault.UPLOAD_FORBIDDEN: _Instead(
        UPLOADS,
        400,
        b'{"statusCode": "403", "error": "Unauthorized", "message": "new row violates row-level security policy"}',
        _JSON,
    ),
    EdgeFault.UPLOAD_LOCKED: _Instead(
        UPLOADS, 423, b'{"statusCode": "423", "error": "ResourceLocked", "message": "The resource is locked"}', _JSON
    ),
}
"""The words are those of PostgREST, Storage and common gateways."""


class ApiEdge:
    """A gateway on loopback in front of an API, in a thread of its own; ``fault`` may be changed at any time."""

    def __init__(self, api_url: str) -> None:
        self.fault: EdgeFault | None = None
        self._port = free_port()
        self._api = httpx.AsyncClient(base_url=api_url, timeout=API_TIMEOUT_SECONDS, trust_env=False)
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=METHODS)])
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=LOOPBACK,
                port=self._port,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._server.run, name="api-edge", daemon=True)

    @property
    def url(self) -> str:
        """What the API is called from outside."""
        return f"http://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Serve; returns when it does."""
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the gateway does not serve")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Serve no more."""
        self._server.should_exit = True
        self._thread.join()

    async def _answer(self, request: Request) -> Response:
        instead = None if self.fault is None else INSTEAD[self.fault]
        if instead is not None and request.url.path.startswith(instead.path_prefix):
            return Response(instead.body, instead.status, dict(instead.headers))
        passed_on = {name: value for name, value in request.headers.items() if name not in NOT_PASSED_ON}
        try:
            answer = await self._api.request(
                request.method, _target(request), content=await request.body(), headers=passed_on
            )
        except httpx.HTTPError:
            return Response(b"bad gateway", 502, {"content-type": "text/plain"})
        kept = {
            name: value for name, value in answer.headers.items() if name not in NOT_PASSED_ON | {"content-encoding"}
        }
        return Response(answer.content, answer.status_code, kept)


def _target(request: Request) -> str:
    """Path and query as they were sent, escapes included."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")
