"""Stand-ins for the worker and Grafana behind nginx: they tell what reached them, and misbehave when told to."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SocketType
from typing import Any, Final, Self

from sandbox.servers.processes import LOOPBACK

ECHO_BYTES: Final = 4096

POLL_SECONDS: Final = 0.05
"""How soon it notices that it is to end."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it reached the backend. Names of headers are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a backend answers; without a body, what it saw, as JSON."""

    status: int = 200
    headers: Mapping[str, str] | None = None


class Backend:
    """An HTTP server on loopback; a context manager. A websocket gets back what it sends.

    Args:
        name: is in every answer.
        port: may be that of another backend with another address.
        address: of loopback.
        reply: decides what is answered, and may wait or raise ``ConnectionError``, which breaks the connection off.
    """

    def __init__(
        self,
        name: str,
        port: int,
        *,
        address: str = LOOPBACK,
        reply: Callable[[Seen], Reply] = lambda _: Reply(),
    ) -> None:
        self.seen: list[Seen] = []
        self.name = name
        self.reply = reply
        self.connections: set[SocketType] = set()
        self._server = _Server((address, port), _Handler)
        self._server.backend = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody listens any more and every connection is cut, as when a container is removed."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    backend: Backend


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.backend.connections.add(self.connection)

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        self.server.backend.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def answer(self) -> None:
        backend = self.server.backend
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, self.path, {key.lower(): text for key, text in self.headers.items()}, body)
        backend.seen.append(seen)
        if seen.headers.get("upgrade") == "websocket":
            self._echo()
            return
        try:
            self._send(backend.reply(seen), json.dumps(_told(backend.name, seen)).encode())
        except ConnectionError:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(SHUT_RDWR)

    do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815 (the library's names)

    def _send(self, reply: Reply, told: bytes) -> None:
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(told))} | dict(reply.headers or {})
        for key, text in headers.items():
            self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    def _echo(self) -> None:
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        while received := self.connection.recv(ECHO_BYTES):
            self.connection.sendall(received)

    def log_message(self, *_: Any) -> None:
        """Nothing: the access log under test is nginx's."""


def _told(name: str, seen: Seen) -> dict[str, Any]:
    return {"backend": name, "method": seen.method, "target": seen.target, "headers": dict(seen.headers)}
