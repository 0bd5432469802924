"""A monitor that is ill takes nothing down with it (ADR 0125)."""

from typing import Final

from tests.infra.engine.calls import Caller
from tests.infra.engine.host import Host
from tests.infra.engine.rig import Rig
from tests.infra.engine.waiting import wait_for

STAND_INS: Final = ("nginx", "redis", "python", "loki")

UNHEALTHY_WITHIN_SECONDS: Final = 75.0
"""Three checks of 15 s and the last one's time, and some."""


def test_a_monitor_that_is_ill_makes_no_deploy_fail_and_hurts_nobody(
    rig: Rig, host: Host, caller: Caller, ill_loki: str
) -> None:
    before = {name: host.container(name) for name in ("worker", "redis", "nginx")}
    wait_for("Loki is unhealthy", lambda: rig.docker.health(ill_loki) == "unhealthy", seconds=UNHEALTHY_WITHIN_SECONDS)
    try:
        status, output = host.attempt_script("deploy.sh")
    finally:
        rig.docker("exec", ill_loki, "sh", "-c", "echo ok >/loki/www/ready")
    assert status == 0, output
    assert "alerts may be missing: loki" in output
    assert {name: host.container(name) for name in before} == before
    assert caller.ask("GET", "/health").json()["status"] == "ok"
    host.wait_healthy("loki")
    rig.report.proved(
        "deploy.sh beside an ill Loki: status 0, the ill one is named, the others are the same containers",
        output.splitlines()[-2][:60],
        stand_ins=STAND_INS,
    )
