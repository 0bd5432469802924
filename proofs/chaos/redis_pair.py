"""Two Redis servers behind one name, as a managed Redis has them: a primary and a replica that may change places."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from sandbox.servers.switchboard import Switchboard

TAKE_OVER_SECONDS = 15.0
"""For the replica to catch up and to take over; it takes a few milliseconds on an idle machine."""

POLL_SECONDS = 0.05

REPLICA_KEY = "slave"
"""INFO's name for a replica, with a number; its value is an object, unlike those of settings that begin alike."""

REPLICA_WAIT_MILLISECONDS = 10_000


class RedisPair:
    """A primary and a replica on loopback. ``kill``, ``start``, ``pause`` and ``resume`` are the primary's.

    A failover is the planned kind (the command FAILOVER): the primary waits for the replica, hands over, and lives on
    as a replica that takes no writes. Connections stay as they are; only new ones reach the new primary.
    """

    def __init__(self, first: LocalRedis, directory: Path) -> None:
        self.primary = first
        self.replica = LocalRedis(directory)
        self._name = Switchboard(first.port)

    @property
    def url(self) -> str:
        """The address that always leads to the primary of the moment."""
        return f"redis://{LOOPBACK}:{self._name.port}/0"

    def set_up(self) -> None:
        """Start the replica beside the primary, which runs already, and give both their name."""
        self.replica.start()
        with redis.Redis.from_url(self.replica.url) as replica:
            replica.replicaof(self.primary.host, self.primary.port)
        self._name.start()
        self._wait_for(self._is_in_step, "the replica has caught up")

    def close(self) -> None:
        """Stop the name and the replica."""
        self._name.stop()
        self.replica.stop()

    def fail_over(self) -> None:
        """Let primary and replica change places."""
        self._wait_for(self._is_in_step, "the replica has caught up")
        with redis.Redis.from_url(self.primary.url) as primary:
            primary.execute_command(
                "FAILOVER", "TO", self.replica.host, self.replica.port, "TIMEOUT", REPLICA_WAIT_MILLISECONDS
            )
        self._wait_for(lambda: _state(self.replica)["role"] == "master", "the replica has taken over")
        self.primary, self.replica = self.replica, self.primary
        self._name.target_port = self.primary.port

    def kill(self) -> None:
        """SIGKILL for the primary; nobody takes over."""
        self.primary.kill()

    def start(self) -> None:
        """Start the primary again."""
        self.primary.start()

    def pause(self) -> None:
        """Let the primary hang."""
        self.primary.pause()

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self.primary.resume()

    def _is_in_step(self) -> bool:
        """As both say: a primary that has not yet heard from its replica hands over to nobody, and a replica that still
        writes its first append-only file would lose what comes after it when it is killed (Redis 7.0)."""
        replicas = [known for name, known in _state(self.primary).items() if name.startswith(REPLICA_KEY)]
        is_known = any(isinstance(known, dict) and known["state"] == "online" for known in replicas)
        replica = _state(self.replica)
        is_writing = replica["aof_rewrite_in_progress"] or replica["aof_rewrite_scheduled"]
        return replica.get("master_link_status") == "up" and is_known and not is_writing

    @staticmethod
    def _wait_for(condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + TAKE_OVER_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"it did not come to pass that {what}")
            time.sleep(POLL_SECONDS)


def _state(server: LocalRedis) -> dict[str, Any]:
    with redis.Redis.from_url(server.url) as client:
        return dict(client.info("replication", "persistence"))
