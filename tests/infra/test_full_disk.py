"""Logs never fill the disk, and a full disk loses nothing (caprover #98, getsentry/self-hosted #3411)."""

import json
from pathlib import Path

from tests.infra.engine.host import Host
from tests.infra.engine.rig import REPOSITORY, Rig
from tests.infra.engine.small_disk import small_disk
from tests.infra.engine.waiting import wait_for

STORM_BYTES = 120 * 2**20
LOG_BOUND_BYTES = 31 * 2**20
"""Three files of 10 MB, and a line that was begun."""

ALERT_BYTES = 2 * 2**30
"""Story 5.2: less than that for five minutes."""

ALMOST_NOTHING_BYTES = 2 * 2**20

NODE_EXPORTER = "NODE_EXPORTER_IMAGE"
REFUSED_WITHIN_SECONDS = 20.0
PROBE_BYTES = 100_000
"""An argument of a command may have 128 KiB. The engine writes and removes files of its own meanwhile, so that some
blocks are always free; a few of these take them all."""

PROJECT = "small"
KEY = "kept"


def test_a_storm_of_logs_stays_in_its_bound_and_redis_on_a_full_disk_refuses_and_recovers(rig: Rig, host: Host) -> None:
    redis_image = rig.images.redis
    with small_disk(rig, redis_image, rig.images.monitors[NODE_EXPORTER]) as small:
        tenant = Host(rig.place / PROJECT, small.docker, rig.images, rig.internet, project=PROJECT)
        tenant.unpack(REPOSITORY)
        tenant.configure(tenant.settings())
        tenant.compose("up", "-d", "redis")
        tenant.compose("up", "-d", "--no-deps", "node-exporter")
        tenant.wait_healthy("redis", "node-exporter")

        log_bytes = storm(tenant, redis_image, small.mount)
        assert log_bytes < LOG_BOUND_BYTES

        assert redis_cli(tenant, "SET", KEY, "1") == "OK"
        before_bytes = free_bytes(tenant, small.mount)
        assert LOG_BOUND_BYTES < before_bytes < ALERT_BYTES, "with less than 2 GB free the alert is due"
        small.fill()
        full_bytes = free_bytes(tenant, small.mount)
        assert full_bytes < ALMOST_NOTHING_BYTES
        refusal = wait_for("Redis refuses writes", lambda: refused(tenant), seconds=REFUSED_WITHIN_SECONDS)
        assert tenant.is_healthy("redis")
        small.clear()
        wait_for("Redis takes writes again", lambda: not refused(tenant), seconds=REFUSED_WITHIN_SECONDS)
        assert redis_cli(tenant, "GET", KEY) == "1"
        tenant.remove()
    rig.report.proved(
        "disk of 2 GB: storm of logs, then a full disk under Redis",
        f"{STORM_BYTES / 2**20:.0f} MiB logged, {log_bytes / 2**20:.0f} MiB kept; writes refused ({refusal[:24]}...), "
        "then taken again, nothing lost",
        stand_ins=("redis",),
    )
    rig.report.proved(
        "the same disk by node-exporter's node_filesystem_avail_bytes, on which the alert stands",
        f"{before_bytes / 2**20:.0f} MiB free, then {full_bytes / 2**20:.0f} MiB",
        stand_ins=("node-exporter",),
    )


def free_bytes(tenant: Host, mount: Path) -> float:
    """What the tenant's node-exporter says of a file system of the host. Raises ``LookupError``."""
    text = tenant.docker(
        *("exec", tenant.container("node-exporter"), "wget", "-q", "-O", "-", "http://127.0.0.1:9100/metrics")
    )
    for line in text.splitlines():
        if line.startswith("node_filesystem_avail_bytes{") and f'mountpoint="{mount}"' in line:
            return float(line.rpartition(" ")[2])
    raise LookupError(f"node-exporter knows nothing of {mount}")


def storm(tenant: Host, image: str, mount: Path) -> int:
    """Log more than fits, with the log settings of the file; the bytes that are left."""
    logging = json.loads(tenant.compose("config", "--format", "json"))["services"]["redis"]["logging"]
    options = [word for name, value in logging["options"].items() for word in ("--log-opt", f"{name}={value}")]
    container = tenant.docker(
        *("run", "--detach", "--network", "none", "--log-driver", logging["driver"], *options, "--entrypoint", "sh"),
        *(image, "-c", f"yes $(seq 100) | head -c {STORM_BYTES}"),
    )
    tenant.docker("wait", container)
    kept = sum(path.stat().st_size for path in mount.glob(f"docker/containers/{container}/*.log*"))
    tenant.docker("rm", container)
    return kept


def redis_cli(tenant: Host, *words: str) -> str:
    """A command in the tenant's Redis."""
    return tenant.docker("exec", tenant.container("redis"), "redis-cli", *words)


def refused(tenant: Host) -> str:
    """Why a write is refused; empty when it is not."""
    answer = redis_cli(tenant, "SET", "probe", "x" * PROBE_BYTES)
    return "" if answer == "OK" else answer
