"""The OpenAI images simulator as a server of the sandbox, in a process of its own."""

import os
import sys
from pathlib import Path
from typing import ClassVar

import httpx

from sandbox.openai_sim.client import SimulatorClient
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import ChildProcess, start_child

REPOSITORY = Path(__file__).resolve().parents[2]

CHECK_TIMEOUT_SECONDS = 1.0


class LocalSimulator(LocalServer):
    """``python -m sandbox.openai_sim`` with a latency such as ``"2-4"`` seconds."""

    name: ClassVar[str] = "openai-simulator"

    def __init__(self, directory: Path, *, latency: str = "0", fixed_result: bool = False, port: int = 0) -> None:
        super().__init__(directory, port)
        self._latency = latency
        self._fixed_result = fixed_result

    @property
    def base_url(self) -> str:
        """What ``OPENAI_BASE_URL`` takes."""
        return f"http://{self.host}:{self.port}/v1"

    def control(self) -> SimulatorClient:
        """A client of its control API; close it after use."""
        return SimulatorClient(f"http://{self.host}:{self.port}")

    def _launch(self) -> ChildProcess:
        command = [sys.executable, "-m", "sandbox.openai_sim", "--port", str(self.port), "--latency", self._latency]
        if self._fixed_result:
            command.append("--fixed-result")
        return start_child(command, log_path=self.log_path, env=os.environ, cwd=REPOSITORY)

    def _is_ready(self) -> bool:
        try:
            url = f"http://{self.host}:{self.port}/_sim/stats"
            return httpx.get(url, timeout=CHECK_TIMEOUT_SECONDS, trust_env=False, verify=NO_AUTHORITIES).is_success
        except httpx.HTTPError:
            return False
