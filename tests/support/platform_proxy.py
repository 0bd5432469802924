"""A gateway in front of the real Supabase API that forwards everything, except what a fault answers in its place."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from sandbox.plain_http import NO_AUTHORITIES

REST = "/rest/v1/rpc/"
STORAGE = "/storage/v1/"
UPLOAD = "/storage/v1/object/virtual-tryon-images/"
SIGN = "/storage/v1/object/sign/"
BUCKET_INFO = "/storage/v1/bucket/"
EVERYTHING = "/"

NOT_FORWARDED = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive"}
)

FORWARDING_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Reply:
    """What a fault answers."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def page(status: int, words: str = "Not Found") -> Reply:
    """A web page, as an edge shows while what is behind it restarts."""
    return Reply(status, f"<html><head><title>{status} {words}</title></head></html>".encode(), "text/html")


def said(status: int, **fields: Any) -> Reply:
    """A JSON object."""
    return Reply(status, json.dumps(fields).encode())


def database_error(status: int, code: str, message: str = "no") -> Reply:
    """An error as PostgREST answers it."""
    return said(status, code=code, message=message, details=None, hint=None)


def storage_error(status: int, error: str, message: str) -> Reply:
    """An error as Storage answers it: 400 with the status it means in the body, but for server errors."""
    return said(400 if status < 500 else status, statusCode=str(status), error=error, message=message)


def redirect(url: str, status: int = 307) -> Reply:
    """An answer that leads elsewhere."""
    return Reply(status, headers={"location": url})


Choice = Callable[[bytes], bool]


@dataclass
class _Fault:
    path: str
    reply: Reply
    times: int | None
    only_if: Choice


class PlatformProxy:
    """Use as a context manager; ``url`` is what the worker is given for Supabase's."""

    def __init__(self, target_url: str) -> None:
        self._target_url = target_url
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._hits: list[str] = []
        self._upstream = httpx.Client(trust_env=False, timeout=FORWARDING_TIMEOUT_SECONDS, verify=NO_AUTHORITIES)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "PlatformProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._upstream.close()

    def answer(
        self, path: str, reply: Reply, *, times: int | None = None, only_if: Choice = lambda _body: True
    ) -> None:
        """From now on, requests whose path begins with ``path`` get this reply, at most ``times`` of them."""
        with self._lock:
            self._faults.append(_Fault(path, reply, times, only_if))

    def forward_all(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    @contextmanager
    def answering(self, path: str, reply: Reply) -> Iterator[None]:
        """The same while the block runs."""
        self.answer(path, reply)
        try:
            yield
        finally:
            self.forward_all()

    def answered(self, path: str = EVERYTHING) -> int:
        """How many requests to paths that begin so got a fault for an answer."""
        with self._lock:
            return sum(hit.startswith(path) for hit in self._hits)

    def _fault_for(self, path: str, body: bytes) -> Reply | None:
        with self._lock:
            for fault in self._faults:
                if path.startswith(fault.path) and fault.times != 0 and fault.only_if(body):
                    fault.times = None if fault.times is None else fault.times - 1
                    self._hits.append(path)
                    return fault.reply
        return None

    def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        sent = {name: value for name, value in headers.items() if name.lower() not in NOT_FORWARDED}
        try:
            answer = self._upstream.request(method, f"{self._target_url}{path}", headers=sent, content=body)
        except httpx.TransportError as error:
            return page(502, type(error).__name__)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_FORWARDED}
        content_type = kept.pop("content-type", "application/octet-stream")
        return Reply(answer.status_code, answer.content, content_type, kept)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                reply = proxy._fault_for(self.path, body) or proxy._forward(
                    self.command, self.path, dict(self.headers), body
                )
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names http.server looks for

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        return Handler
