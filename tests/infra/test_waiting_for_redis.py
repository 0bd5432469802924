"""A worker that starts while Redis is away waits for it (story 2.2, ADR 0025)."""

import time

from tests.infra.conftest import AwayRedis
from tests.infra.engine.rig import Rig

AWAY_SECONDS = 180.0
HEALTHY_WITHIN_SECONDS = 30.0


def test_a_worker_started_while_redis_is_away_for_three_minutes_is_healthy_soon_after(
    rig: Rig, redis_away: AwayRedis
) -> None:
    host = redis_away.host
    left = AWAY_SECONDS - (time.monotonic() - redis_away.since)
    rig.report.say(f"Redis of a second project stays away for another {max(left, 0):.0f} s")
    time.sleep(max(left, 0))  # the time itself is what is asked for
    worker = host.container("worker")
    assert rig.docker.health(worker) != "healthy"
    back_at = time.monotonic()
    host.compose("up", "-d", "--no-deps", "redis")
    host.wait_healthy("worker", seconds=HEALTHY_WITHIN_SECONDS)
    seconds = time.monotonic() - back_at
    assert host.container("worker") == worker
    restarts = rig.docker.inspect(worker)["RestartCount"]
    assert restarts == 0
    rig.report.proved(
        f"worker started while Redis is away for {AWAY_SECONDS:.0f} s and more",
        f"{restarts} restarts, healthy {seconds:.0f} s after Redis was started",
        stand_ins=("redis", "python"),
    )
