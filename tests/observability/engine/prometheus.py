"""A real Prometheus on loopback, asked over its HTTP API."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
import yaml

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import LOOPBACK, ChildProcess, start_child

ANSWER_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.25
KEPT: Final = "1d"


class PromQLRefused(Exception):
    """Prometheus does not take an expression; the message has its words."""


class Prometheus(LocalServer):
    """One that is configured before it is started, and may be again while it runs.

    Args:
        directory: of its data.
        program: the binary.
    """

    name: ClassVar[str] = "prometheus"

    def __init__(self, directory: Path, program: Path) -> None:
        super().__init__(directory)
        self._program = program

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def configuration_path(self) -> Path:
        """Its file."""
        return self.directory / "prometheus.yml"

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """What it does, as in prometheus.yml; in force at once, also while it runs."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.configuration_path.write_text(yaml.safe_dump(dict(configuration), sort_keys=False))
        if self.is_running:
            self._post("/-/reload")

    def query(self, expression: str, *, at_seconds: float | None = None) -> list[dict[str, Any]]:
        """Series of an instant query. Raises ``PromQLRefused``."""
        answer = self._ask("query", query=expression, **({} if at_seconds is None else {"time": str(at_seconds)}))
        if answer["resultType"] in {"scalar", "string"}:
            return [{"metric": {}, "value": answer["result"]}]
        series: list[dict[str, Any]] = answer["result"]
        return series

    def query_range(self, expression: str, *, start: float, end: float, step_seconds: float) -> list[dict[str, Any]]:
        """Series over a time. Raises ``PromQLRefused``."""
        answer = self._ask("query_range", query=expression, start=str(start), end=str(end), step=str(step_seconds))
        series: list[dict[str, Any]] = answer["result"]
        return series

    def targets(self) -> list[dict[str, Any]]:
        """Everything it scrapes, with ``health`` and ``lastError``."""
        targets: list[dict[str, Any]] = self._ask("targets", state="active")["activeTargets"]
        return targets

    def metric_names(self) -> list[str]:
        """Every metric it knows."""
        names: list[str] = self._ask("label/__name__/values")
        return names

    def wait_until(self, holds: Callable[[], object], what: str, *, seconds: float) -> None:
        """Look until it holds. Raises ``TimeoutError``."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {what}")
            time.sleep(POLL_SECONDS)

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = httpx.get(
            f"{self.url}/api/v1/{what}",
            params=parameters,
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=NO_AUTHORITIES,
        ).json()
        if answer["status"] != "success":
            raise PromQLRefused(answer.get("error", answer))
        return answer["data"]

    def _post(self, path: str) -> None:
        httpx.post(
            f"{self.url}{path}", timeout=ANSWER_SECONDS, trust_env=False, verify=NO_AUTHORITIES
        ).raise_for_status()

    def _command(self) -> Sequence[str | Path]:
        return [
            self._program,
            f"--config.file={self.configuration_path}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--storage.tsdb.retention.time={KEPT}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--web.enable-lifecycle",
        ]

    def _launch(self) -> ChildProcess:
        return start_child(
            self._command(), log_path=self.log_path, env={"PATH": os.environ["PATH"]}, cwd=self.directory
        )

    def _is_ready(self) -> bool:
        try:
            ready = httpx.get(f"{self.url}/-/ready", timeout=ANSWER_SECONDS, trust_env=False, verify=NO_AUTHORITIES)
        except httpx.HTTPError:
            return False
        return ready.is_success
