"""Prometheus and the exporters as servers on loopback, started and stopped like those of the sandbox."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import httpx

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import LOOPBACK, ChildProcess, start_child

ANSWER_SECONDS: Final = 5.0
"""celery-exporter takes two for a scrape."""


class Exporter(LocalServer):
    """A program that answers over HTTP.

    Args:
        directory: of its log.
        name: for messages.
        command: with ``{port}`` and ``{address}`` where it is told where to listen.
        path: what it answers when it is ready.
        environment: what it gets beside PATH.
    """

    name: ClassVar[str] = "exporter"

    def __init__(
        self,
        directory: Path,
        name: str,
        command: Sequence[str | Path],
        *,
        path: str = "/metrics",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory / name)
        self._name = name
        self._path = path
        self._command = [str(word).format(port=self.port, address=self.address) for word in command]
        self._environment = {
            name: value.format(port=self.port, address=self.address) for name, value in (environment or {}).items()
        }

    @property
    def address(self) -> str:
        """``host:port``, as Prometheus names a target."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address}"

    def _launch(self) -> ChildProcess:
        return start_child(
            self._command,
            log_path=self.log_path,
            env={"PATH": os.environ["PATH"], **self._environment},
            cwd=self.directory,
        )

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(
                f"{self.url}{self._path}", timeout=ANSWER_SECONDS, trust_env=False, verify=NO_AUTHORITIES
            )
        except httpx.HTTPError:
            return False
        return answer.is_success
