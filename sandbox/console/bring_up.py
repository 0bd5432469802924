"""Starts and stops the parts of a sandbox in front of a person."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from sandbox.console.progress import Console
from sandbox.servers.local_server import LocalServer
from sandbox.servers.node_packages import ensure_node_packages

TITLES: Final = {
    "redis": "Redis",
    "postgres": "Postgres",
    "supabase": "Supabase API",
    "openai-simulator": "OpenAI simulator",
    "worker": "worker (main.py)",
}
"""What a person calls each server."""


@contextmanager
def brought_up(servers: Sequence[LocalServer], console: Console) -> Iterator[None]:
    """Start each in order, showing how it goes; stop all in reverse order at the end, whatever happened.

    Raises ``StartupFailed``.
    """
    _install_packages(console)
    stack = ExitStack()
    try:
        for server in servers:
            stack.callback(server.stop)
            with console.step(TITLES[server.name]):
                server.start()
        yield
    finally:
        with console.step("stopping everything", "stopped"):
            stack.close()


def _install_packages(console: Console) -> None:
    # It announces itself in a line of its own; the step says the same and shows the time.
    with console.step("npm packages", "installed"), contextlib.redirect_stderr(io.StringIO()):
        ensure_node_packages()
