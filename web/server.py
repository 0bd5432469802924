"""Serves the HTTP application in a thread of its own, so that the main thread is free to look after everything."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

GRACEFUL_SHUTDOWN_SECONDS: Final = 5
"""Answers at hand may finish; the longest is a size recommendation, which has 4.5 s (``web.app``)."""

KEEPALIVE_SECONDS: Final = 75
"""Longer than nginx keeps its upstream connections (60 s), so that nginx never reuses one that is being closed."""

LOOK_SECONDS: Final = 0.1
"""How often it asks whether to open, and at the end whether answers are still at hand."""

log = structlog.get_logger()


class HttpServer:
    """uvicorn in a thread. It installs no signal handlers there, so SIGTERM stays with the supervisor.

    Args:
        app: what it serves.
        host, port: where.
        may_open: asked until it says yes; before that connections are refused, as if nobody was there.
    """

    name = "http"

    def __init__(self, app: FastAPI, *, host: str, port: int, may_open: Callable[[], bool] = lambda: True) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
            timeout_keep_alive=KEEPALIVE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._may_open = may_open
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Take the port, so that one that is taken shows at once, and open it when that is due."""
        try:
            self._socket = self._server.config.bind_socket()
            # Connections inherit it. asyncio does so only for a socket that was made with the protocol's number, which
            # uvicorn's is not: an answer's body would wait 40 ms for the acknowledgement of its head
            # (findings/uvicorn-with-workers-answers-late.sh).
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except SystemExit:
            # uvicorn's way to say that it could not; it has logged why, but not where. is_alive() tells the supervisor.
            log.error("port_not_taken", host=self._server.config.host, port=self._server.config.port)
            return
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it serves or is about to; ``False`` when the port could not be taken."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish the answers at hand and end.

        The port stays open while there are any: once it is closed, the process is to be gone.
        """
        self._stopping.set()
        until = time.monotonic() + GRACEFUL_SHUTDOWN_SECONDS
        while self._server.server_state.tasks and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        if self._server.started:
            log.info("port_closes")
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(GRACEFUL_SHUTDOWN_SECONDS + 1)

    def _run(self) -> None:
        if self._socket is None:
            return
        with self._socket:
            while not self._may_open():
                if self._stopping.wait(LOOK_SECONDS):
                    return
            log.info("port_opens", port=self._socket.getsockname()[1])
            self._server.run(sockets=[self._socket])
