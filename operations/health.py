"""``wearon health``: is the worker of this host or container well? For health checks, so it imports next to nothing."""

import argparse
import http.client
import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from operations.errors import EXIT_DONE, EXIT_REFUSED

DESCRIPTION: Final = """\
Ask the worker of this host or container for its health: one line, exit status 0 when it is well, else 1. The parts
that do not work are named as in GET /health.
"""

EPILOG: Final = """\
examples:
  wearon health                  ok
  wearon health                  degraded: redis, consumer
  wearon health --port 8001      a worker at another port

In a Dockerfile: HEALTHCHECK CMD ["wearon", "health"]. HOST and PORT come from the environment or from .env.
"""

TIMEOUT_SECONDS: Final = 2.0
"""The worker answers from memory; a health check has three seconds."""

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = "8000"
EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - nothing listens here
"""Where a worker listens that is reached over loopback, too."""


class Answer(NamedTuple):
    """What a worker said: ``body`` of GET /health, or ``words`` for why there is none."""

    body: dict[str, Any] | None
    words: str

    @property
    def is_well(self) -> bool:
        """Whether everything works that should."""
        return self.body is not None and self.body.get("status") == "ok"

    @property
    def line(self) -> str:
        """In one line."""
        return self.words if self.body is None else words_of(self.body)


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--port", type=int, help="of the worker; if left out: PORT, else 8000")
    parser.add_argument("--json", action="store_true", help="what GET /health answers, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    host, port = address()
    answer = ask(host, options.port or port)
    if options.json:
        print(json.dumps(answer.body or {"status": "unreachable", "reason": answer.words}))
    else:
        print(answer.line)
    return EXIT_DONE if answer.is_well else EXIT_REFUSED


def ask(host: str, port: int) -> Answer:
    """Ask a worker once."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        body = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(None, f"no worker answers at {reachable(host)}:{port} ({why(error)})")
    finally:
        connection.close()
    if not isinstance(body, dict) or "status" not in body:
        return Answer(None, f"what answers at {reachable(host)}:{port} is no worker")
    return Answer(body, "")


def words_of(body: dict[str, Any]) -> str:
    """What a worker says of itself, in one line [pure]."""
    states = [state for state in ("starting", "draining") if body.get(state)]
    parts = ", ".join(map(str, body.get("degraded") or ()))
    about = f"{body['status']}: {parts}" if parts else str(body["status"])
    return f"{about} ({', '.join(states)})" if states else about


def why(error: Exception) -> str:
    """An error of the connection, as people say it [pure]."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def reachable(host: str) -> str:
    """The address to ask a worker that listens at ``host`` [pure]."""
    return DEFAULT_HOST if host in EVERY_ADDRESS else host


def address() -> tuple[str, int]:
    """HOST and PORT as the worker reads them."""
    named: dict[str, str | None] = {}
    if Path(".env").is_file():
        from dotenv import dotenv_values  # noqa: PLC0415 - not where there is no such file, as in the image

        named = dotenv_values(".env")
    host, port = (
        os.environ.get(name) or named.get(name) or default
        for name, default in (("HOST", DEFAULT_HOST), ("PORT", DEFAULT_PORT))
    )
    return host, int(port) if port.isdigit() else int(DEFAULT_PORT)
