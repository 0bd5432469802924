"""The service in a process of its own, the host of the photographs, and one request."""

import http.client
import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from models.health import HealthReport
from services.url_guard import TrustedHosts
from size_rec.app import create_app
from size_rec.estimator import BodyEstimator

READY_TIMEOUT_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 30.0
KEPT_CONNECTION_SECONDS = 60
"""Longer than the bare model's turn, in which the callers are silent."""


@dataclass(frozen=True)
class Reply:
    """One answer of the service: HTTP status, body and seconds."""

    status: int
    body: dict[str, object]
    seconds: float


def serve(port: int) -> int:
    """Be the service until told to stop: the real application on the real server."""
    estimator = BodyEstimator()
    estimator.start()
    app = create_app(
        health=lambda: HealthReport(
            model_loaded=estimator.loaded,
            redis_connected=True,
            broker_connected=True,
            consumer_alive=True,
            celery_alive=True,
        ),
        registry=CollectorRegistry(),
        estimator=estimator,
        trusted_hosts=TrustedHosts.parse("127.0.0.1"),
    )
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_config=None, access_log=False, timeout_keep_alive=KEPT_CONNECTION_SECONDS
    )
    return 0


@contextmanager
def service() -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """The service in a process of its own; yields its address, the process and the seconds to ready."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as probe:
        port = probe.server_address[1]
    started = time.monotonic()
    command = [sys.executable, "-m", "scripts.bench_size", "--serve", str(port)]
    one_blas_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # as size_rec sets it where it is imported first
    process = subprocess.Popen(command, env=one_blas_thread, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}", process, time.monotonic() - started
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

    class PhotoHandler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            photo = photos[self.rfile.readline().split()[1]]
            while self.rfile.readline().strip():
                pass
            head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
            self.wfile.write(head.encode() + photo)

    class PhotoServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = PhotoServer(("127.0.0.1", 0), PhotoHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


_local = threading.local()
"""One kept connection for each caller. The standard library's client: it takes a third of httpx's processor time, and
what the callers take is missing to the service, which runs on the same processors."""


def ask_service(netloc: str, host: str, row: dict[str, str]) -> Reply:
    """Send one photograph by its address; every caller thread keeps its connection."""
    if not hasattr(_local, "connection"):
        _local.connection = http.client.HTTPConnection(netloc, timeout=REQUEST_TIMEOUT_SECONDS)
    started = time.perf_counter()
    body = json.dumps({"image_url": f"{host}/{row['file']}", "height_cm": float(row["height_cm"])})
    _local.connection.request("POST", "/estimate-body", body, {"Content-Type": "application/json"})
    response = _local.connection.getresponse()
    answer = json.loads(response.read())
    return Reply(response.status, answer, time.perf_counter() - started)
