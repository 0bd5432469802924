"""The real bridge as a process of its own, and Grafana as it posts to it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from monitoring.whatsapp_bridge.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from sandbox.pauses import Pauses
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.processes import free_port

REPOSITORY: Final = Path(__file__).resolve().parents[2]

SECRET: Final = "the-secret-of-grafana-and-bridge"

STARTS_WITHIN_SECONDS: Final = 30.0
"""About one on an idle machine."""


def notification(name: str, **more: Any) -> dict[str, Any]:
    """What Grafana posts for one critical alert with this summary."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "component-down", "severity": "critical", "component": "redis"},
        "annotations": {"summary": name, "runbook_url": "https://example.com/runbook"},
        "startsAt": "2026-11-28T09:31:10Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{hash(name) & 0xFFFF_FFFF:08x}",
    }
    return {
        "receiver": "whatsapp",
        "status": "firing",
        "alerts": [alert],
        "groupLabels": {},
        "commonLabels": alert["labels"],
        "externalURL": "https://worker.example.com/grafana/",
        "version": "1",
        "groupKey": f"{{}}:{{summary={name}}}",
        "truncatedAlerts": 0,
        **more,
    }


class Bridge:
    """``serve`` on a free port of loopback, with its queue in a folder; it can be killed and started again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "WHATSAPP_WEBHOOK_SECRET": SECRET,
            "WHATSAPP_QUEUE_PATH": str(folder / "queue.sqlite3"),
            **environment,
        }
        self.log_file = folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30.0, verify=NO_AUTHORITIES)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.kill()
        self._client.close()

    def start(self, **environment: str) -> Self:
        """Start it, with other settings than before where named, and wait until it answers.

        Raises:
            AssertionError: it ended, or does not answer; with its log.
        """
        self._environment |= environment
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "monitoring.whatsapp_bridge",
                    "serve",
                    f"--port={self.port}",
                    "--host=127.0.0.1",
                ],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        pauses = Pauses()
        while pauses.waited_seconds < STARTS_WITHIN_SECONDS and self.process.poll() is None:
            try:
                self._client.get("/health")
            except httpx.TransportError:
                pauses.take()
            else:
                return self
        raise AssertionError(f"the bridge does not answer: {self.log_text()}")

    def kill(self) -> None:
        """As a power supply that fails, or the kernel without memory."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def begin_to_stop(self) -> None:
        """SIGTERM."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait_for_end(self) -> int:
        """The exit status."""
        assert self.process is not None
        status = self.process.wait(30.0)
        self.process = None
        return status

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.begin_to_stop()
        return self.wait_for_end()

    def post(
        self, body: dict[str, Any] | bytes, *, secret: str = SECRET, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Post as Grafana does, signed now."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        timestamp = str(int(time.time()))
        signed = {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: sign(secret, timestamp, raw)}
        return self._client.post(
            "/grafana", content=raw, headers={"Content-Type": "application/json", **signed, **(headers or {})}
        )

    def get(self, path: str) -> httpx.Response:
        """Ask it."""
        return self._client.get(path)

    def health(self) -> dict[str, Any]:
        """What it says of itself."""
        said: dict[str, Any] = self._client.get("/health").json()
        return said

    def wait_for_health(self, within_seconds: float = 30.0, **expected: Any) -> dict[str, Any]:
        """What it says of itself, once it has these values.

        Raises:
            AssertionError: it does not come to say so.
        """
        pauses = Pauses()
        while True:
            said = self.health()
            if expected.items() <= said.items():
                return said
            assert pauses.waited_seconds < within_seconds, f"{said} instead of {expected}"
            pauses.take()

    def wait_for_log(self, event: str, within_seconds: float = 30.0) -> None:
        """Until there is a line of this event.

        Raises:
            AssertionError: none comes.
        """
        pauses = Pauses()
        while not self.log(event):
            assert pauses.waited_seconds < within_seconds, f"no {event} in: {self.log_text()}"
            pauses.take()

    def run_command(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run one command of its program with its settings, and these."""
        return subprocess.run(
            [sys.executable, "-m", "monitoring.whatsapp_bridge", *arguments],
            cwd=REPOSITORY,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def log_text(self) -> str:
        """All it has printed, over all its lives."""
        return self.log_file.read_text()

    def log(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]
