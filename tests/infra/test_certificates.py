"""Certificates come, are renewed and are served without anybody waiting (stories 3.2, 6.3)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from tests.infra.engine.calls import CLIENT_SECONDS, Caller, SteadyCalls, expect_all_well, request
from tests.infra.engine.host import Host
from tests.infra.engine.internet import DOMAIN
from tests.infra.engine.rig import Rig

STAND_INS = ("nginx", "certbot", "Pebble", "grafana")

SLOW_SECONDS = 30.0

RENEWAL_FILE = f"/etc/letsencrypt/renewal/{DOMAIN}.conf"
DUE = "renew_before_expiry = 20000 days"
"""What makes a certificate of Pebble due, which is good for five years."""


def test_a_renewal_from_cron_is_served_to_new_connections_while_a_request_of_thirty_seconds_ends_well(
    rig: Rig, host: Host, caller: Caller, grafana: None
) -> None:
    old, orders = caller.serial(), rig.internet.orders()
    with (
        due(host),
        httpx.Client(verify=caller.context(), trust_env=False, timeout=2 * SLOW_SECONDS) as client,
        ThreadPoolExecutor() as threads,
        SteadyCalls(caller, None) as calls,
    ):
        slow = threads.submit(client.send, slow_request(client))
        time.sleep(1)  # it is under way; nothing tells so from outside
        began_at = time.monotonic()
        host.script("renew-certs.sh")
        seconds = time.monotonic() - began_at
        answer_was_open = not slow.done()
        status = slow.result().status_code
    assert answer_was_open, f"the renewal took {seconds:.0f} s, longer than the request"
    assert status == 200
    assert caller.serial() != old
    assert rig.internet.orders() == orders + 1
    expect_all_well(host, calls.answers)
    metrics = (host.home / "metrics").glob("*.prom")
    assert any("wearon_certificate_renewal_last_success_timestamp_seconds" in path.read_text() for path in metrics)
    rig.report.proved(
        f"renewal without terminal and environment, reload under a request of {SLOW_SECONDS:.0f} s",
        f"new serial after {seconds:.0f} s, the request ended with {status}; {calls.answers}",
        stand_ins=STAND_INS,
    )


def test_a_renewal_that_is_not_due_orders_nothing_and_reloads_nothing(rig: Rig, host: Host, caller: Caller) -> None:
    old, orders, pid = caller.serial(), rig.internet.orders(), nginx_workers(host)
    host.script("renew-certs.sh")
    assert (caller.serial(), rig.internet.orders(), nginx_workers(host)) == (old, orders, pid)
    rig.report.proved("renewal that is not due", "same serial, no order, no reload", stand_ins=STAND_INS)


def slow_request(client: httpx.Client) -> httpx.Request:
    """To Grafana, whose queries may take long."""
    asked = request(client, "GET", f"/grafana/slow?seconds={SLOW_SECONDS}")
    asked.extensions["timeout"] = httpx.Timeout(CLIENT_SECONDS, read=2 * SLOW_SECONDS).as_dict()
    return asked


@contextmanager
def due(host: Host) -> Iterator[None]:
    """The certificate is due while the block runs."""
    in_certbot(host, "sh", "-c", f"sed -i '1i {DUE}' {RENEWAL_FILE}")
    try:
        yield
    finally:
        in_certbot(host, "sed", "-i", "/^renew_before_expiry/d", RENEWAL_FILE)


def in_certbot(host: Host, program: str, *arguments: str) -> str:
    """A program in certbot's container, which may write to the volume."""
    return host.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", program, "certbot", *arguments)


def nginx_workers(host: Host) -> str:
    """Process ids of nginx in its container; a reload makes new ones."""
    return host.docker("exec", host.container("nginx"), "pidof", "nginx")
