"""Two hosts share a hosted queue: one rate limit over both, and one takes over from the other (NFR-1.4, NFR-2.4)."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.infra.engine.host import Host
from tests.infra.engine.internet import Internet
from tests.infra.engine.rig import REPOSITORY, Rig
from tests.infra.engine.shop import Shop, open_shop
from tests.infra.engine.waiting import wait_for

TASKS = 330
REQUESTS_PER_MINUTE = 300
PROVIDER_SECONDS = "5"
LEASE_SECONDS = "15"
"""Instead of 45: how soon the other host takes over."""

KILLED_AFTER_REQUESTS = 60
DELIVERED_WITHIN_SECONDS = 300.0
BUSY_WITHIN_SECONDS = 60.0

STAND_INS = ("redis", "python", "provider", "platform", "two projects on one engine for two hosts")


@pytest.fixture
def two_hosts(rig: Rig, host: Host) -> Iterator[tuple[Host, Host]]:
    """Two projects with a broker each and one hosted queue; the host of the other tests rests."""
    host.compose("stop", "worker", "nginx")
    with ExitStack() as stack:
        stack.callback(host.compose, "up", "-d", "--wait")
        hosts = [second_host(rig, name) for name in ("host-a", "host-b")]
        for one in hosts:
            stack.callback(one.remove)
            one.compose("up", "-d", "--wait", "worker")
        yield hosts[0], hosts[1]


@pytest.fixture
def hosted_queue(rig: Rig) -> Iterator[Shop]:
    """The platform, pushing to a Redis outside both hosts."""
    with rig.internet.provider() as provider:
        provider.reset()
        provider.set_latency(PROVIDER_SECONDS)
    with open_shop(rig.internet, rig.internet.world.redis.url) as shop:
        yield shop


def test_two_hosts_keep_to_one_rate_limit_and_the_one_that_is_left_finishes_everything(
    rig: Rig, two_hosts: tuple[Host, Host], hosted_queue: Shop
) -> None:
    survivor, victim = two_hosts
    began_at = time.monotonic()
    tasks = hosted_queue.submit(TASKS)
    wait_for(
        "the provider is busy", lambda: requests(rig.internet) >= KILLED_AFTER_REQUESTS, seconds=BUSY_WITHIN_SECONDS
    )
    for one in two_hosts:
        wait_for(f"{one.project} has delivered something", partial(is_at_work, one), seconds=BUSY_WITHIN_SECONDS)
    rig.docker("kill", victim.container("worker"))
    hosted_queue.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    seconds = time.monotonic() - began_at
    with rig.internet.provider() as provider:
        stats = provider.stats()
    assert stats["peak_requests_in_60_seconds"] <= REQUESTS_PER_MINUTE
    assert hosted_queue.wrong_credits() == []
    assert survivor.is_healthy("worker")
    rig.report.proved(
        f"two hosts, one queue, {TASKS} tasks, one host killed in the middle",
        f"all delivered after {seconds:.0f} s, at most {stats['peak_requests_in_60_seconds']} provider requests in any "
        f"60 s ({stats['requests']} in all), 0 wrong credits",
        stand_ins=STAND_INS,
    )


def second_host(rig: Rig, name: str) -> Host:
    """A host with a bundle and settings of its own, whose queue is hosted."""
    host = Host(rig.place / name, rig.docker, rig.images, rig.internet, project=name)
    host.unpack(REPOSITORY)
    settings = host.settings(WORKER_LEASE_SECONDS=LEASE_SECONDS)
    settings["CELERY_BROKER_URL"] = settings["REDIS_URL"]
    settings["REDIS_URL"] = rig.internet.hosted_redis_url
    host.configure(settings)
    return host


def requests(internet: Internet) -> int:
    """How many the provider got."""
    with internet.provider() as provider:
        return int(provider.stats()["requests"])


def is_at_work(host: Host) -> bool:
    """Whether its worker has finished a task."""
    return "session_completed" in host.log("worker")
