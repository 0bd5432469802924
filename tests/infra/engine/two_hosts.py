"""Two hosts with one hosted queue: two projects on the engine, one of which is killed in the middle of its work."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from PIL import Image

from tests.infra.engine.host import Host
from tests.infra.engine.namespaces import INTERNET_LINK
from tests.infra.engine.rig import REPOSITORY, Rig
from tests.infra.engine.shop import open_shop
from tests.infra.engine.waiting import wait_for
from tests.infra.engine.wire import watched_wire

TASKS: Final = 330
PICTURE_SIZE_PX: Final = (320, 400)
PROVIDER_SECONDS: Final = "5"
LEASE_SECONDS: Final = "15"
"""Instead of 45: how soon the other host takes over."""

REQUEST_BEGINS: Final = b"POST /v1/images/edits "

KILLED_AFTER_REQUESTS: Final = 60
BUSY_WITHIN_SECONDS: Final = 120.0
DELIVERED_WITHIN_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; ``peak_requests`` is the most that came to the provider in any 60 s, by the kernel's clock."""

    delivered: int
    seconds: float
    requests: int
    peak_requests: int
    wrong_credits: list[str]
    survivor_is_healthy: bool


def run_two_hosts(rig: Rig) -> Outcome:
    """From two bare projects to the last task. Raises ``TimeoutError`` when one is not delivered."""
    with ExitStack() as stack:
        with rig.internet.provider() as provider:
            provider.reset()
            provider.set_latency(PROVIDER_SECONDS)
        wire = stack.enter_context(watched_wire(INTERNET_LINK, rig.internet.world.simulator.port, REQUEST_BEGINS))
        shop = stack.enter_context(open_shop(rig.internet, rig.internet.world.redis.url, [_small_picture(rig)] * 2))
        hosts = [_host(rig, name) for name in ("host-a", "host-b")]
        for host in hosts:
            stack.callback(host.remove)
            host.compose("up", "-d", "--wait", "worker")
        began_at = time.monotonic()
        tasks = shop.submit(TASKS)
        wait_for("the provider is busy", lambda: _requests(rig) >= KILLED_AFTER_REQUESTS, seconds=BUSY_WITHIN_SECONDS)
        for host in hosts:
            wait_for(f"{host.project} has delivered something", partial(_is_at_work, host), seconds=BUSY_WITHIN_SECONDS)
        survivor, victim = hosts
        rig.docker("kill", victim.container("worker"))
        shop.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)
        requests = _requests(rig)
        return Outcome(
            delivered=len(tasks),
            seconds=time.monotonic() - began_at,
            requests=requests,
            peak_requests=wire.peak(requests),
            wrong_credits=shop.wrong_credits(),
            survivor_is_healthy=survivor.is_healthy("worker"),
        )


def _small_picture(rig: Rig) -> Path:
    """Work for the queue and the rate, not for the processors, which two hosts and the world around them share here."""
    path = rig.place / "small.jpg"
    Image.linear_gradient("L").resize(PICTURE_SIZE_PX).convert("RGB").save(path)
    return path


def _host(rig: Rig, name: str) -> Host:
    """A host with a bundle and settings of its own, whose queue is hosted."""
    host = Host(rig.place / name, rig.docker, rig.images, rig.internet, project=name)
    host.unpack(REPOSITORY)
    settings = host.settings(WORKER_LEASE_SECONDS=LEASE_SECONDS)
    settings["CELERY_BROKER_URL"] = settings["REDIS_URL"]
    settings["REDIS_URL"] = rig.internet.hosted_redis_url
    host.configure(settings)
    return host


def _requests(rig: Rig) -> int:
    """How many the provider has counted."""
    with rig.internet.provider() as provider:
        return int(provider.stats()["requests"])


def _is_at_work(host: Host) -> bool:
    """Whether its worker has finished a task."""
    return "session_completed" in host.log("worker")
