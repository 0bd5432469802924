"""A bare host becomes one that serves, and stays it (stories 2.1, 3.2, 6.1)."""

from tests.infra.conftest import FirstDeploy
from tests.infra.engine.calls import Caller
from tests.infra.engine.host import Host
from tests.infra.engine.internet import DOMAIN
from tests.infra.engine.rig import REPOSITORY, Rig

AGAIN = 3
"""An order at each start would be seen by then; Let's Encrypt gives the same name five certificates a week."""


def test_first_deploy_makes_a_bare_host_serve_with_a_certificate_of_its_own(
    rig: Rig, first_deploy: FirstDeploy, caller: Caller
) -> None:
    assert caller.ask("GET", "/health").json()["status"] == "ok"
    rig.report.proved(
        "first-deploy: from a bare host to https://DOMAIN/health ok, certificate over HTTP-01",
        f"{first_deploy.seconds:.0f} s, {rig.internet.orders()} certificate(s) issued",
        stand_ins=("nginx", "redis", "certbot", "python", "Pebble"),
    )


def test_redis_is_healthy_before_the_worker_starts_and_the_worker_before_nginx(
    rig: Rig, first_deploy: FirstDeploy
) -> None:
    order = [
        first_deploy.events.of(service, what)[0].at_nanoseconds
        for service, what in (
            ("redis", "health_status: healthy"),
            ("worker", "start"),
            ("worker", "health_status: healthy"),
            ("nginx", "start"),
        )
    ]
    assert order == sorted(order)
    seconds = [f"{(moment - order[0]) / 1e9:.1f}" for moment in order]
    rig.report.proved(
        "start order by docker events: Redis healthy, worker started, worker healthy, nginx started",
        f"at {', '.join(seconds)} s",
        stand_ins=("redis", "nginx", "python"),
    )


def test_first_deploy_again_changes_nothing_and_orders_no_certificate(rig: Rig, host: Host) -> None:
    before, orders = _containers(rig), rig.internet.orders()
    env = (host.home / ".env").read_bytes()
    for _ in range(AGAIN - 1):
        host.script("first-deploy.sh", DOMAIN, bundle=REPOSITORY)
    assert _containers(rig) == before
    host.compose("down")
    host.script("first-deploy.sh", DOMAIN, bundle=REPOSITORY)
    assert (host.home / ".env").read_bytes() == env
    assert rig.internet.orders() == orders
    rig.report.proved(
        "first-deploy again, the last time after `down`: same containers, same .env, no order",
        f"{AGAIN} times, {rig.internet.orders()} certificate(s) issued in all",
        stand_ins=("nginx", "redis", "certbot", "Pebble"),
    )


def _containers(rig: Rig) -> set[str]:
    project = f"label=com.docker.compose.project={rig.host.project}"
    return set(rig.docker("ps", "--quiet", "--no-trunc", "--filter", project).split())
