"""The simulator as an ASGI application, and the server that runs it in a thread or as a process."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.openai_sim import errors
from sandbox.openai_sim.answer import error_answer
from sandbox.openai_sim.client import SimulatorClient
from sandbox.openai_sim.control import ControlApi
from sandbox.openai_sim.endpoint import ImagesEdits
from sandbox.openai_sim.model_list import ModelsEndpoint
from sandbox.openai_sim.state import SimulatorOptions, SimulatorState

LOOPBACK: Final = "127.0.0.1"
"""The simulator has a control API without a key: it listens nowhere else."""

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than a client's pause between two calls, as with the real API; uvicorn's own 5 s would break pooled calls."""

STOP_SECONDS: Final = 5
"""Waiting requests are told to end at once when the server stops; this is for what is being sent."""

START_SECONDS: Final = 10
"""A start takes a fraction of a second; more means that it failed."""

PARENT_CHECK_SECONDS: Final = 1.0
"""How long a process outlives a parent that was killed."""

_EVERY_METHOD: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class SimulatorServer(uvicorn.Server):
    """uvicorn with a signal when it is ready, and one to waiting requests when it stops."""

    def __init__(self, options: SimulatorOptions, *, port: int = 0) -> None:
        self.ready = threading.Event()
        self._closing = asyncio.Event()
        self._processor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="openai-sim-pictures")
        self._socket = socket.create_server((LOOPBACK, port))
        self.port: int = self._socket.getsockname()[1]
        super().__init__(
            uvicorn.Config(
                create_app(options, closing=self._closing, processor=self._processor),
                # Dropped answers are faults on purpose; uvicorn would report each as an error.
                log_level="critical",
                access_log=False,
                lifespan="off",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    def run_until_stopped(self) -> None:
        """Serves in the calling thread until :meth:`stop`, or a signal in the main thread."""
        try:
            self.run(sockets=[self._socket])
        finally:
            self._processor.shutdown(cancel_futures=True)
            self._socket.close()

    def stop(self) -> None:
        """Asks the server to end; may be called from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Sets :attr:`ready` once connections are accepted."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the requests that wait, then stops as uvicorn does."""
        self._closing.set()
        await super().shutdown(sockets)


def create_app(options: SimulatorOptions, *, closing: asyncio.Event, processor: ThreadPoolExecutor) -> Starlette:
    """The simulated API and its control API. ``processor`` runs the work on pictures; one thread is enough."""
    state = SimulatorState(options)
    return Starlette(
        routes=[
            Route("/v1/images/edits", ImagesEdits(state, closing, processor)),
            ModelsEndpoint(state, closing).route(),
            *ControlApi(state).routes(),
            Route("/{path:path}", _unknown_url, methods=_EVERY_METHOD),
        ]
    )


@contextmanager
def running_simulator(options: SimulatorOptions | None = None) -> Iterator[SimulatorClient]:
    """A simulator in a thread of this process, on a free port of the loopback interface, until the block ends."""
    server = SimulatorServer(options or SimulatorOptions())
    thread = threading.Thread(target=server.run_until_stopped, name="openai-sim", daemon=True)
    thread.start()
    try:
        if not server.ready.wait(START_SECONDS):
            raise RuntimeError("the simulator did not start")
        with SimulatorClient(f"http://{LOOPBACK}:{server.port}") as client:
            yield client
    finally:
        server.stop()
        thread.join()


def stop_when_orphaned(server: SimulatorServer) -> None:
    """Watches the parent process from a thread of its own and stops the server when it is gone."""
    parent = os.getppid()
    never = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            never.wait(PARENT_CHECK_SECONDS)
        server.stop()

    threading.Thread(target=watch, name="openai-sim-parent", daemon=True).start()


async def _unknown_url(request: Request) -> Response:
    return error_answer(errors.unknown_url(request.method, request.url.path), {})
