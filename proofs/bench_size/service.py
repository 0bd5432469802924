"""The service in a process of its own, the host of the photographs, and one request."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from config.logging_config import configure_logging
from models.health import Component, HealthReport
from proofs.bench.base_tree import environment
from services.fetching.url_guard import TrustedHosts
from size_rec.processes.pool import BodyEstimator
from web.app import create_app

READY_TIMEOUT_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 30.0
RECEIVE_BYTES = 64 * 1024
END_OF_HEAD = b"\r\n\r\n"
KEPT_CONNECTION_SECONDS = 600
"""Longer than the bare model's turn, in which the callers are silent: seconds, or minutes on a busy machine."""


@dataclass(frozen=True)
class Reply:
    """One answer of the service: HTTP status, body and seconds."""

    status: int
    body: dict[str, object]
    seconds: float


def serve(port: int) -> int:
    """Be the service until told to stop: the real application on the real server."""
    configure_logging("INFO")
    estimator = BodyEstimator()
    estimator.start()
    app = create_app(
        health=lambda: HealthReport(parts=dict.fromkeys(Component, True) | {Component.MODEL: estimator.loaded}),
        registry=CollectorRegistry(),
        estimator=estimator,
        trusted_hosts=TrustedHosts.parse("127.0.0.1"),
    )
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_config=None, access_log=False, timeout_keep_alive=KEPT_CONNECTION_SECONDS
    )
    return 0


@contextmanager
def service(
    command: Sequence[str] = (sys.executable, "-m", "proofs.bench_size"), tree: Path | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """The service of a build's benchmark (``command``, in its ``tree``) in a process of its own; yields its port, the
    process and the seconds to ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    started = time.monotonic()
    inherited = environment() if tree else dict(os.environ)
    one_blas_thread = inherited | {"OPENBLAS_NUM_THREADS": "1"}  # as size_rec sets it where it is imported first
    process = subprocess.Popen(
        [*command, "--serve", str(port)],
        cwd=tree,
        env=one_blas_thread,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health", process)
        yield port, process, time.monotonic() - started
    finally:
        process.terminate()
        process.wait(READY_TIMEOUT_SECONDS)


def _wait_until_ready(health_url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(health_url).json()["model_loaded"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit("the service did not become ready")


@contextmanager
def photo_host(folder: Path) -> Iterator[str]:
    """Serves the folder's photographs from memory with as little work as HTTP allows: it is not what is measured."""
    photos = {f"/{path.name}".encode(): path.read_bytes() for path in folder.iterdir()}
    loop = asyncio.new_event_loop()

    class PhotoProtocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)
            self.asked = b""

        def data_received(self, data: bytes) -> None:
            self.asked += data
            if self.asked.endswith(END_OF_HEAD):
                photo = photos[self.asked.split()[1]]
                head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
                self.transport.write(head.encode() + photo)
                self.transport.close()

    server = loop.run_until_complete(loop.create_server(PhotoProtocol, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Caller(threading.local):
    """One kept connection for each caller thread.

    As bare as the photo host: what the callers take is missing to the service, which runs on the same processors. The
    standard library's client takes some 0.3 ms more for each photograph.
    """

    def __init__(self, port: int, host: str, *, height_measured: bool | None = True) -> None:
        self._host = host
        self._said = {} if height_measured is None else {"height_measured": height_measured}
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=REQUEST_TIMEOUT_SECONDS)

    def ask(self, row: dict[str, str]) -> Reply:
        """Send one photograph by its address."""
        started = time.perf_counter()
        asked = {"image_url": f"{self._host}/{row['file']}", "height_cm": float(row["height_cm"])}
        body = json.dumps(asked | self._said)
        head = (
            f"POST /estimate-body HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        self._socket.sendall(head.encode() + END_OF_HEAD + body.encode())
        head_bytes, answer = self._receive()
        seconds = time.perf_counter() - started
        return Reply(int(head_bytes.split()[1]), json.loads(answer), seconds)

    def _receive(self) -> tuple[bytes, bytes]:
        received = b""
        while END_OF_HEAD not in received:
            received += self._more()
        head, _, body = received.partition(END_OF_HEAD)
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += self._more()
        return head, body

    def _more(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise SystemExit("the service closed the connection")
        return data
