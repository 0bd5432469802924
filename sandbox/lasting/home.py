"""The directory of the lasting sandbox: its lock, its ports, and its removal."""

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.processes import LOOPBACK, free_port
from sandbox.servers.redis import LocalRedis
from sandbox.servers.simulator import LocalSimulator
from sandbox.servers.supabase import LocalSupabase
from sandbox.servers.worker import LocalWorker
from sandbox.world import World

DEFAULT_HOME: Final = Path(__file__).resolve().parents[2] / ".sandbox"

PREFERRED_PORTS: Final = {"redis": 16379, "postgres": 15432, "supabase": 15421, "simulator": 15440, "worker": 8000}
"""Ports of a new sandbox, each if it is free: close to the usual ones, and below the range for outgoing connections."""

RELEASE_SECONDS: Final = 6.0
"""How long to wait for ports to become free. A killed sandbox frees them in 5 s (``sandbox/servers/watchdog.py``)."""

POLL_SECONDS: Final = 0.1

LOCK_NAME: Final = "lock"
PORTS_NAME: Final = "ports.json"
PARTS: Final = tuple(PREFERRED_PORTS)


class SandboxIsRunning(Exception):
    """Another process uses this directory; ``owner`` is its process id, or empty if unknown."""

    def __init__(self, home: Path, owner: str) -> None:
        super().__init__(f"a sandbox already runs on {home}{f' (process {owner})' if owner else ''}")
        self.home = home
        self.owner = owner


class SandboxIsNotRunning(Exception):
    """Nothing runs on this directory."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"no sandbox runs on {home}")
        self.home = home


def choose_ports(
    remembered: Mapping[str, int], is_free: Callable[[int], bool], pick: Callable[[], int]
) -> dict[str, int]:
    """A port for every part: the remembered one, else the preferred one, else any; never one that is taken."""
    chosen: dict[str, int] = {}
    for part, preferred in PREFERRED_PORTS.items():
        port = remembered.get(part, preferred)
        while port in chosen.values() or not is_free(port):
            port = pick()
        chosen[part] = port
    return chosen


def is_port_free(port: int) -> bool:
    """Whether a server could listen there; a port in TIME_WAIT counts as free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class SandboxHome:
    """One such directory. Its ports stay the same over restarts, because signed URLs in its database contain one."""

    def __init__(self, directory: Path = DEFAULT_HOME) -> None:
        self.directory = directory.absolute()

    @property
    def is_running(self) -> bool:
        """Whether a process holds this sandbox."""
        lock = self.directory / LOCK_NAME
        if not lock.exists():
            return False
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the directory; the kernel releases the lock when this process ends. Raises ``SandboxIsRunning``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / LOCK_NAME).open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise SandboxIsRunning(self.directory, file.read().strip()) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def remembered_ports(self) -> dict[str, int]:
        """The ports of the last start; empty before the first one."""
        path = self.directory / PORTS_NAME
        return {part: int(port) for part, port in json.loads(path.read_text()).items()} if path.exists() else {}

    def settle_ports(self) -> tuple[dict[str, int], list[str]]:
        """Ports for this start, and the parts whose port had to change. Call it only while ``held``."""
        before = self.remembered_ports()
        deadline = time.monotonic() + RELEASE_SECONDS
        while not all(map(is_port_free, before.values())) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        ports = choose_ports(before, is_port_free, free_port)
        (self.directory / PORTS_NAME).write_text(json.dumps(ports, indent=2) + "\n")
        return ports, [part for part in before if part in ports and ports[part] != before[part]]

    def world(self, ports: Mapping[str, int], *, latency: str = "0") -> World:
        """The parts around the worker, with their data here; nothing is started."""
        postgres = LocalPostgres(self.directory / "postgres", ports["postgres"])
        return World(
            redis=LocalRedis(self.directory / "redis", ports["redis"]),
            postgres=postgres,
            supabase=LocalSupabase(self.directory / "supabase", postgres, ports["supabase"]),
            simulator=LocalSimulator(self.directory / "simulator", latency=latency, port=ports["simulator"]),
        )

    def worker(self, world: World, ports: Mapping[str, int]) -> LocalWorker:
        """The worker of ``world``; nothing is started."""
        return LocalWorker(self.directory / "worker", worker_settings(world), ports["worker"])

    def running_world(self) -> tuple[World, LocalWorker]:
        """Handles on the sandbox that another process runs. Raises ``SandboxIsNotRunning``."""
        ports = self.remembered_ports()
        if not self.is_running or set(ports) != set(PARTS):
            raise SandboxIsNotRunning(self.directory)
        world = self.world(ports)
        return world, self.worker(world, ports)

    def wipe(self) -> None:
        """Delete the sandbox's data, and nothing else that may lie here. Raises ``SandboxIsRunning``."""
        if not self.directory.exists():
            return
        with self.held():
            LocalPostgres(self.directory / "postgres", port=PREFERRED_PORTS["postgres"]).wipe()
            for part in PARTS:
                shutil.rmtree(self.directory / part, ignore_errors=True)
            (self.directory / PORTS_NAME).unlink(missing_ok=True)
            (self.directory / LOCK_NAME).unlink()
            if not any(self.directory.iterdir()):
                self.directory.rmdir()


def worker_settings(world: World, **changed: str) -> dict[str, str]:
    """The settings of a sandbox's worker, by environment name.

    Every address is set here: the worker also reads ``.env``, and a sandbox must never use the real queue or broker
    that may be named there.
    """
    return world.settings(CELERY_BROKER_URL=world.redis.url, **changed)
