"""The reference for /health: the smallest FastAPI application, answering a constant, in a process of its own."""

import argparse
import sys
from pathlib import Path
from typing import ClassVar

import httpx
import uvicorn
from fastapi import FastAPI

from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import LOOPBACK, ChildProcess, start_child
from sandbox.servers.worker import REPOSITORY

CHECK_TIMEOUT_SECONDS = 1.0


class BareApp(LocalServer):
    """``python -m proofs.bench.bare_app``."""

    name: ClassVar[str] = "bare-app"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{self.host}:{self.port}"

    def _launch(self) -> ChildProcess:
        command = [sys.executable, "-m", "proofs.bench.bare_app", "--port", str(self.port)]
        return start_child(command, log_path=self.log_path, env={}, cwd=REPOSITORY)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=CHECK_TIMEOUT_SECONDS, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def create_bare_app() -> FastAPI:
    """GET /health answers a constant."""
    app = FastAPI()

    @app.get("/health")
    async def get_health() -> dict[str, str]:
        return {"status": "ok"}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(create_bare_app(), host=LOOPBACK, port=parser.parse_args().port, log_config=None, access_log=False)
