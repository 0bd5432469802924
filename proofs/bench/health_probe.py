"""Asks two servers for /health in turn, from a process of its own, so that nobody else's work delays the clock.

``python -m proofs.bench.health_probe URL URL`` writes one line of JSON per look: the seconds each answer took.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import urlsplit

from sandbox.servers.worker import REPOSITORY

INTERVAL_SECONDS: Final = 0.1
TIMEOUT_SECONDS: Final = 5.0
STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Looks:
    """Seconds per answer, of the worker and of the reference, asked at the same moments."""

    worker: list[float]
    reference: list[float]


class HealthProbe:
    """Asks both servers while the block runs; then ``looks`` has the answers."""

    def __init__(self, worker_url: str, reference_url: str) -> None:
        self._urls = (worker_url, reference_url)
        self._process: subprocess.Popen[str] | None = None
        self.looks = Looks([], [])

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proofs.bench.health_probe", *self._urls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        output, _ = self._process.communicate(timeout=STOP_SECONDS)  # closes its input, which ends it
        rows = [json.loads(line) for line in output.splitlines()]
        self.looks = Looks([row[0] for row in rows], [row[1] for row in rows])


def ask(connection: http.client.HTTPConnection) -> float:
    """Seconds from sending the request to the last byte of the answer."""
    started = time.perf_counter()
    connection.request("GET", "/health")
    connection.getresponse().read()
    return time.perf_counter() - started


def probe(urls: Sequence[str], ended: IO[str], out: IO[str]) -> None:
    """Ask all ``urls`` every 100 ms, in changing order, until ``ended`` is at its end; then write what was measured."""
    is_over = threading.Event()

    def wait_for_the_end() -> None:
        ended.read()
        is_over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    connections = [http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS) for url in urls]
    looks: list[list[float]] = []
    for connection in connections:
        ask(connection)  # connects
    while not is_over.wait(INTERVAL_SECONDS):
        look = [0.0] * len(connections)
        order = range(len(connections)) if len(looks) % 2 else reversed(range(len(connections)))
        for index in order:
            look[index] = ask(connections[index])
        looks.append(look)
    for connection in connections:
        connection.close()
    out.writelines(json.dumps(look) + "\n" for look in looks)


if __name__ == "__main__":
    probe(sys.argv[1:], sys.stdin, sys.stdout)
