"""Serves input pictures on loopback, well or badly on purpose.

The address must be in ``IMAGE_URL_TRUSTED_HOSTS`` of the worker under test: a worker refuses loopback otherwise.
"""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self
from urllib.parse import urlsplit

from sandbox.servers.processes import LOOPBACK

FAULT_PREFIX = "/fault/"

DRIP_BYTES = 16
DRIP_INTERVAL_SECONDS = 0.05
"""320 bytes a second: never silent for long, and a picture takes hours."""

OVERSIZE_BYTES = 11 * 1024 * 1024
"""Just above what a downloader should take (NFR-3.2: 10 MB)."""

BLOCK_BYTES = 64 * 1024


class _Handler(BaseHTTPRequestHandler):
    """GET only; one connection per request (HTTP/1.0), so that an answer without a length ends with the connection."""

    server: "_Server"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.note_request(path)
        try:
            if path.startswith(FAULT_PREFIX):
                self._misbehave(path.removeprefix(FAULT_PREFIX).partition("/")[0])
            else:
                self._serve(path)
        except ConnectionError:
            pass  # the client has seen enough

    def _serve(self, path: str) -> None:
        picture = self.server.pictures.get(path)
        if picture is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        data, content_type = picture
        self._head(content_type=content_type, length=len(data))
        self.wfile.write(data)

    def _misbehave(self, name: str) -> None:
        fault = self.FAULTS.get(name)
        if fault is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        fault(self)

    def _head(self, *, content_type: str = "image/jpeg", length: int | None = None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _drip(self) -> None:
        self._head(length=OVERSIZE_BYTES)
        while not self.server.is_closing.wait(DRIP_INTERVAL_SECONDS):
            self.wfile.write(b"\xff" * DRIP_BYTES)

    def _no_length(self) -> None:
        self._head()
        self.wfile.write(self.server.any_picture())

    def _redirect(self) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", "/")
        self.end_headers()

    def _wrong_type(self) -> None:
        body = b"<html><body>Please sign in.</body></html>"
        self._head(content_type="text/html", length=len(body))
        self.wfile.write(body)

    def _not_a_picture(self) -> None:
        body = b"<html><body>not a picture at all</body></html>"
        self._head(length=len(body))
        self.wfile.write(body)

    def _not_found(self) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def _server_error(self) -> None:
        self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _hang(self) -> None:
        self.server.is_closing.wait()

    def _oversize(self) -> None:
        self._head(length=OVERSIZE_BYTES)
        self._flood()

    def _oversize_no_length(self) -> None:
        self._head()
        self._flood()

    def _flood(self) -> None:
        for _ in range(0, OVERSIZE_BYTES, BLOCK_BYTES):
            self.wfile.write(b"\xff" * BLOCK_BYTES)

    FAULTS: ClassVar[dict[str, Callable[["_Handler"], None]]] = {
        "drip": _drip,
        "no-length": _no_length,
        "redirect": _redirect,
        "wrong-type": _wrong_type,
        "not-a-picture": _not_a_picture,
        "not-found": _not_found,
        "server-error": _server_error,
        "hang": _hang,
        "oversize": _oversize,
        "oversize-no-length": _oversize_no_length,
    }

    def log_message(self, *_: object) -> None:
        """Quiet: tests read :meth:`ImageHost.requests` instead."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256  # a burst of tasks asks for several pictures each at the same instant

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.pictures: dict[str, tuple[bytes, str]] = {}
        self.requests: list[str] = []
        self.is_closing = threading.Event()

    def note_request(self, path: str) -> None:
        self.requests.append(path)  # atomic in CPython; read by tests only

    def any_picture(self) -> bytes:
        return next((data for data, _ in self.pictures.values()), b"\xff\xd8\xff")


FAULT_NAMES = tuple(_Handler.FAULTS)
"""What :meth:`ImageHost.fault_url` knows."""


class ImageHost:
    """A picture server in a thread of this process; a context manager."""

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever, name="image-host", daemon=True)

    @property
    def address(self) -> str:
        """``host:port``, as ``IMAGE_URL_TRUSTED_HOSTS`` wants it."""
        return f"{LOOPBACK}:{self._server.server_port}"

    @property
    def requests(self) -> list[str]:
        """Paths asked for so far, oldest first."""
        return list(self._server.requests)

    def add(self, name: str, data: bytes, content_type: str = "image/jpeg") -> str:
        """Serve ``data`` under ``name`` and return its URL."""
        self._server.pictures[f"/{name}"] = (data, content_type)
        return f"http://{self.address}/{name}"

    def fault_url(self, name: str) -> str:
        """URL of a picture that fails in the named way (``FAULT_NAMES``). Raises ``ValueError`` for another name."""
        if name not in FAULT_NAMES:
            raise ValueError(f"no fault {name!r}; there are {', '.join(FAULT_NAMES)}")
        return f"http://{self.address}{FAULT_PREFIX}{name}/picture.jpg"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and let hanging requests go."""
        self._server.is_closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
