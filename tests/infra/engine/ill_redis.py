"""What Compose and the worker say of a Redis that is ill, and of one that refuses the worker's password."""

import secrets
from dataclasses import dataclass
from typing import Final

from tests.infra.engine.host import Host
from tests.infra.engine.rig import REPOSITORY, Rig

PROJECT: Final = "ill"
NO_PING: Final = '\nrename-command PING ""\n'
"""So the check of the compose file, which asks PING, fails on a Redis that works otherwise."""


@dataclass(frozen=True, slots=True)
class Started:
    """How ``up -d --wait worker`` ended, and what the worker wrote."""

    status: int
    output: str
    running_workers: int
    log: str


@dataclass(frozen=True, slots=True)
class IllRedis:
    """Both outcomes, and the password that was refused."""

    unwell: Started
    refused: Started
    wrong_password: str


def run_with_ill_redis(rig: Rig) -> IllRedis:
    """Start the worker's project twice; each start takes as long as Compose waits for it (a minute and a half)."""
    host = Host(rig.place / PROJECT, rig.docker, rig.images, rig.internet, project=PROJECT)
    host.unpack(REPOSITORY)
    try:
        host.configure(host.settings())
        with (host.home / "redis" / "redis.conf").open("a") as settings:
            settings.write(NO_PING)
        unwell = _start_worker(host)
        host.remove()
        host.unpack(REPOSITORY)
        wrong = secrets.token_urlsafe(24)
        host.configure(host.settings(REDIS_URL=f"redis://default:{wrong}@redis:6379/0"))
        refused = _start_worker(host)
    finally:
        host.remove()
    return IllRedis(unwell, refused, wrong)


def _start_worker(host: Host) -> Started:
    status, output = host.attempt_compose("up", "-d", "--wait", "worker")
    return Started(status, output, len(host.containers("worker")), host.log("worker"))
