"""A worker is not started beside an ill Redis, and says so when Redis refuses it (Pattern 6, FR-7.4, ADR 0025)."""

from concurrent.futures import Future

from tests.infra.engine.ill_redis import PROJECT, IllRedis
from tests.infra.engine.rig import Rig

STAND_INS = ("redis", "python")


def test_up_fails_and_names_redis_when_its_check_fails(rig: Rig, ill_redis: Future[IllRedis]) -> None:
    started = ill_redis.result().unwell
    assert started.status != 0
    assert f"{PROJECT}-redis-1 is unhealthy" in started.output
    assert started.running_workers == 0
    rig.report.proved(
        "Redis whose health check fails: `up -d --wait` fails and names it, no worker is started",
        f"exit status {started.status}: {started.output.splitlines()[-1].strip()}",
        stand_ins=STAND_INS,
    )


def test_a_worker_with_a_wrong_password_for_redis_is_never_healthy_and_says_why(
    rig: Rig, ill_redis: Future[IllRedis]
) -> None:
    outcome = ill_redis.result()
    started = outcome.refused
    assert started.status != 0
    assert "refuses the password" in started.log
    assert "REDIS_URL" in started.log
    assert outcome.wrong_password not in started.log + started.output
    rig.report.proved(
        "worker with a wrong password for Redis: `up -d --wait` fails, the log names the setting, not the password",
        f"exit status {started.status}",
        stand_ins=STAND_INS,
    )
