"""The real worker, ``main.py``, as a server of the sandbox: started, watched and killed from outside."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import ChildProcess, start_child

REPOSITORY = Path(__file__).resolve().parents[2]

PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "VIRTUAL_ENV")
"""All that the worker gets from the environment of whoever starts the sandbox: its settings come from the sandbox."""


class LocalWorker(LocalServer):
    """One worker with the given settings (``NAME=value``); ready when it takes tasks."""

    name: ClassVar[str] = "worker"
    health_timeout_seconds: ClassVar[float] = 2.0

    def __init__(self, directory: Path, settings: Mapping[str, str], port: int = 0) -> None:
        super().__init__(directory, port)
        self._settings = dict(settings)

    @property
    def url(self) -> str:
        """Base URL of its HTTP interface."""
        return f"http://{self.host}:{self.port}"

    def health(self) -> dict[str, Any]:
        """Body of GET /health. Raises ``httpx.HTTPError`` while it does not answer."""
        answer: dict[str, Any] = httpx.get(
            f"{self.url}/health", timeout=self.health_timeout_seconds, trust_env=False, verify=NO_AUTHORITIES
        ).json()
        return answer

    def terminate(self) -> None:
        """SIGTERM, and not wait for what comes of it."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the end and return the exit status; raises ``subprocess.TimeoutExpired``."""
        return self._running_child().wait(timeout_seconds)

    def log_lines(self) -> Iterator[dict[str, Any]]:
        """What it logged, line by line; a line that is not JSON raises ``ValueError``."""
        if self.log_path.exists():
            for line in self.log_path.read_text().splitlines():
                yield json.loads(line)

    def _launch(self) -> ChildProcess:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return start_child(
            [sys.executable, REPOSITORY / "main.py"],
            log_path=self.log_path,
            env={**environment, **self._settings, "HOST": self.host, "PORT": str(self.port)},
            cwd=self.directory,  # so that a developer's own .env is not read
        )

    def _is_ready(self) -> bool:
        try:
            health = self.health()
        except (httpx.HTTPError, ValueError):
            return False
        return bool(health["consumer_alive"] and health["celery_alive"])
