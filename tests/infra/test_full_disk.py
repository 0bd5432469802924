"""Logs never fill the disk, and a full disk loses nothing (caprover #98, getsentry/self-hosted #3411)."""

from concurrent.futures import Future
from typing import Final

from tests.infra.engine.full_disk import STORM_BYTES, VALUE, FullDisk
from tests.infra.engine.rig import Rig

LOG_BOUND_BYTES: Final = 31 * 2**20
"""Three files of 10 MB, and a line that was begun."""

ALERT_BYTES: Final = 2 * 2**30
"""Story 5.2: less than that for five minutes."""

ALMOST_NOTHING_BYTES: Final = 2 * 2**20


def test_a_storm_of_logs_stays_in_its_bound_and_redis_on_a_full_disk_refuses_and_recovers(
    rig: Rig, full_disk: Future[FullDisk]
) -> None:
    outcome = full_disk.result()
    assert outcome.log_bytes < LOG_BOUND_BYTES
    assert LOG_BOUND_BYTES < outcome.free_bytes < ALERT_BYTES, "with less than 2 GB free the alert is due"
    assert outcome.full_bytes < ALMOST_NOTHING_BYTES
    assert outcome.redis_was_healthy
    assert outcome.kept == VALUE
    rig.report.proved(
        "disk of 2 GB: storm of logs, then a full disk under Redis",
        f"{STORM_BYTES / 2**20:.0f} MiB logged, {outcome.log_bytes / 2**20:.0f} MiB kept; writes refused "
        f"({outcome.refusal[:24]}...), then taken again, nothing lost",
        stand_ins=("redis",),
    )
    rig.report.proved(
        "the same disk by node-exporter's node_filesystem_avail_bytes, on which the alert stands",
        f"{outcome.free_bytes / 2**20:.0f} MiB free, then {outcome.full_bytes / 2**20:.0f} MiB",
        stand_ins=("node-exporter",),
    )
