"""Serves the HTTP application in a thread of its own, so that the main thread is free to look after everything."""

import threading
from typing import Final

import uvicorn
from fastapi import FastAPI

GRACEFUL_SHUTDOWN_SECONDS: Final = 5
"""Answers at hand may finish; the longest is a size recommendation, which has 4.5 s (``size_rec.app``)."""

KEEPALIVE_SECONDS: Final = 75
"""Longer than nginx keeps its upstream connections (60 s), so that nginx never reuses one that is being closed."""


class HttpServer:
    """uvicorn in a thread. It installs no signal handlers there, so SIGTERM stays with the supervisor."""

    name = "http"

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
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
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it serves or is about to; ``False`` when the port could not be bound."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish the answers at hand and end."""
        self._server.should_exit = True
        self._thread.join(GRACEFUL_SHUTDOWN_SECONDS + 1)

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:
            # uvicorn's way to say that it could not start; it has logged why, and is_alive() tells the supervisor.
            return
