"""A Redis that fails over: two real servers behind one name, of which one is the primary at a time.

The name is a small TCP front, as a DNS name or a virtual address is in production: it decides where *new* connections
go. Those that exist stay where they are, with a server that lives on read-only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import redis

from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from sandbox.servers.switchboard import Switchboard
from tests.support.worker import wait_until

COPY_MILLISECONDS: Final = 30_000


class FailingOverRedis:
    """Two servers and their name; a context manager. ``url`` is the name's."""

    def __init__(self, directory: Path) -> None:
        self._servers = [LocalRedis(directory / str(number), append_fsync="no") for number in range(2)]
        self._name = Switchboard(self._servers[0].port)

    @property
    def url(self) -> str:
        """Where whoever serves is reached."""
        return f"redis://{LOOPBACK}:{self._name.port}/0"

    @property
    def primary(self) -> LocalRedis:
        """The server the name stands for."""
        return next(server for server in self._servers if server.port == self._name.target_port)

    @property
    def other(self) -> LocalRedis:
        """The one of the two that it does not stand for."""
        return next(server for server in self._servers if server is not self.primary)

    def __enter__(self) -> Self:
        for server in self._servers:
            server.start()
            command(server, "CONFIG", "SET", "repl-diskless-sync-delay", "0")  # seconds; it waits for more replicas
        self._name.start()
        self.replicate()
        return self

    def __exit__(self, *_: object) -> None:
        self._name.stop()
        for server in self._servers:
            server.stop()

    @contextmanager
    def look(self) -> Iterator[redis.Redis]:
        """A client of the primary itself, past the name."""
        with redis.Redis.from_url(self.primary.url) as client:
            yield client

    def replicate(self) -> None:
        """Make the other a replica that has everything the primary has."""
        command(self.primary, "REPLICAOF", "NO", "ONE")
        command(self.other, "REPLICAOF", LOOPBACK, str(self.primary.port))
        wait_until(lambda: b"master_link_status:up" in replication(self.other), "the replica follows")

    def promote_the_replica(self) -> None:
        """The first half of a failover: the primary becomes a replica and keeps its connections, and the name. Nothing
        that it has answered is lost."""
        self._wait_for_the_copy()
        command(self.other, "REPLICAOF", "NO", "ONE")
        command(self.primary, "REPLICAOF", LOOPBACK, str(self.other.port))

    def _wait_for_the_copy(self) -> None:
        with redis.Redis.from_url(self.primary.url, single_connection_client=True) as client:
            client.publish("failover", "")  # WAIT waits for what its own connection has written, and all before that
            if not client.wait(1, COPY_MILLISECONDS):
                raise TimeoutError("the replica does not copy")

    def move_the_name(self) -> None:
        """The second half: new connections go to the new primary."""
        self._name.target_port = self.other.port


def command(server: LocalRedis, *words: str) -> object:
    """Say something to a server itself, past the name."""
    with redis.Redis.from_url(server.url) as client:
        return client.execute_command(*words)


def replication(server: LocalRedis) -> bytes:
    """What a server says of its part."""
    with redis.Redis.from_url(server.url) as client:
        client.set_response_callback("INFO", bytes)
        return bytes(client.execute_command("INFO", "replication"))
