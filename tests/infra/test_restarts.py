"""Whatever dies comes back by itself (NFR-2.2, stories 2.1, 2.2)."""

import os
import signal
import time

import httpx
import pytest

from tests.infra.engine.calls import Caller
from tests.infra.engine.host import Host
from tests.infra.engine.rig import Rig
from tests.infra.engine.shop import Shop
from tests.infra.engine.waiting import wait_for

BACK_WITHIN_SECONDS = 30.0
DELIVERED_WITHIN_SECONDS = 120.0
PROVIDER_SECONDS = "6"
PAGE_WITHIN_SECONDS = 15.0

STAND_INS = ("nginx", "redis", "python")


@pytest.mark.parametrize("service", ["nginx", "redis", "worker"])
def test_a_service_whose_process_is_killed_is_healthy_again_within_thirty_seconds(
    rig: Rig, host: Host, service: str
) -> None:
    container = host.container(service)
    began_at = time.monotonic()
    os.kill(host.docker.host_pid(container), signal.SIGKILL)
    wait_for(
        f"{service} was started again",
        lambda: host.docker.inspect(container)["RestartCount"] > 0 or host.docker.health(container) == "starting",
        seconds=BACK_WITHIN_SECONDS,
    )
    host.wait_healthy(service, seconds=BACK_WITHIN_SECONDS)
    seconds = time.monotonic() - began_at
    assert seconds < BACK_WITHIN_SECONDS
    rig.report.proved(f"{service}: process 1 killed, healthy again", f"{seconds:.1f} s", stand_ins=STAND_INS)


def test_redis_killed_under_tasks_in_flight_loses_none(rig: Rig, host: Host, shop: Shop) -> None:
    with rig.internet.provider() as provider:
        provider.set_latency(PROVIDER_SECONDS)
    tasks = shop.submit(10)
    shop.wait_under_way(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    os.kill(host.docker.host_pid(host.container("redis")), signal.SIGKILL)
    shop.producer.drop_redis_connections()
    shop.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    host.wait_healthy("redis", "worker")
    tasks += shop.submit(2)
    shop.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    assert shop.wrong_credits() == []
    rig.report.proved(
        "Redis killed under ten tasks in flight, two more pushed afterwards",
        f"{len(tasks)} delivered, 0 wrong credits",
        stand_ins=(*STAND_INS, "provider", "platform"),
    )


def test_after_a_restart_of_the_engine_without_a_worker_nginx_serves_its_page_and_finds_the_next_worker(
    rig: Rig, host: Host, caller: Caller
) -> None:
    rig.docker("rm", "--force", host.container("worker"))
    rig.engine.stop()
    rig.engine.start()
    page = wait_for(
        "nginx answers",
        lambda: status_of(caller),
        seconds=PAGE_WITHIN_SECONDS,
    )
    assert page == 502
    host.compose("up", "-d", "--wait")
    found_at = time.monotonic()
    wait_for("the worker is found", lambda: status_of(caller) == 200, seconds=PAGE_WITHIN_SECONDS)
    restarts = host.docker.inspect(host.container("nginx"))["RestartCount"]
    assert restarts == 0
    rig.report.proved(
        "dockerd restarted with the worker removed (NginxProxyManager #2359)",
        f"502 page, no crash loop, worker found {time.monotonic() - found_at:.1f} s after it was healthy",
        stand_ins=STAND_INS,
    )


def status_of(caller: Caller) -> int:
    """Of /health; 0 while nobody answers."""
    try:
        return caller.ask("GET", "/health").status_code
    except httpx.HTTPError:
        return 0
