"""More containers on the host's network: a Grafana that echoes, and a stranger that takes an address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.infra.engine.host import Host
from tests.infra.engine.images import PYTHON_BASE
from tests.infra.engine.waiting import wait_for

ECHO_SERVER: Final = Path(__file__).with_name("echo_server.py")
START_SECONDS: Final = 15.0


@contextmanager
def neighbour(
    host: Host, name: str, *, port: int, alias: str | None = None, address: str | None = None
) -> Iterator[str]:
    """A container that echoes on ``port``, known as ``alias`` in the network or at ``address``; its id."""
    place = [*(["--network-alias", alias] if alias else []), *(["--ip", address] if address else [])]
    container = host.docker(
        *("run", "--detach", "--network", host.network, *place),
        *("--volume", f"{ECHO_SERVER}:/echo_server.py:ro", "--label", f"org.example.neighbour={name}"),
        *(PYTHON_BASE, "python", "/echo_server.py", name, str(port)),
    )
    try:
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        wait_for(
            f"{name} listens",
            lambda: host.docker.attempt("exec", container, "python", "-c", probe)[0] == 0,
            seconds=START_SECONDS,
        )
        yield container
    finally:
        host.docker("rm", "--force", container)
