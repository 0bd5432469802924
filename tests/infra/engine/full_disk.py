"""A host with a disk of 2 GB under a storm of logs, and then with nothing free at all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.infra.engine.host import Host
from tests.infra.engine.rig import REPOSITORY, Rig
from tests.infra.engine.small_disk import small_disk
from tests.infra.engine.waiting import wait_for

STORM_BYTES: Final = 120 * 2**20

NODE_EXPORTER: Final = "NODE_EXPORTER_IMAGE"
REFUSED_WITHIN_SECONDS: Final = 20.0
PROBE_BYTES: Final = 100_000
"""An argument of a command may have 128 KiB. The engine writes and removes files of its own meanwhile, so that some
blocks are always free; a few of these take them all."""

PROJECT: Final = "small"
KEY: Final = "kept"
VALUE: Final = "1"


@dataclass(frozen=True, slots=True)
class FullDisk:
    """What came of it: free bytes as node-exporter has them, and how Redis refused a write on the full disk."""

    log_bytes: int
    free_bytes: float
    full_bytes: float
    refusal: str
    redis_was_healthy: bool
    kept: str
    """What was written before the disk was full, read when it no longer was."""


def run_with_full_disk(rig: Rig) -> FullDisk:
    """On an engine of its own. Raises ``TimeoutError`` when Redis does not refuse, or not take, a write in time."""
    redis_image = rig.images.redis
    with small_disk(rig, redis_image, rig.images.monitors[NODE_EXPORTER]) as small:
        tenant = Host(rig.place / PROJECT, small.docker, rig.images, rig.internet, project=PROJECT)
        tenant.unpack(REPOSITORY)
        tenant.configure(tenant.settings())
        tenant.compose("up", "-d", "redis")
        tenant.compose("up", "-d", "--no-deps", "node-exporter")
        tenant.wait_healthy("redis", "node-exporter")
        log_bytes = _storm(tenant, redis_image, small.mount)
        _redis_cli(tenant, "SET", KEY, VALUE)
        before_bytes = _free_bytes(tenant, small.mount)
        small.fill()
        full_bytes = _free_bytes(tenant, small.mount)
        refusal = wait_for("Redis refuses writes", lambda: _refused(tenant), seconds=REFUSED_WITHIN_SECONDS)
        redis_was_healthy = tenant.is_healthy("redis")
        small.clear()
        wait_for("Redis takes writes again", lambda: not _refused(tenant), seconds=REFUSED_WITHIN_SECONDS)
        kept = _redis_cli(tenant, "GET", KEY)
        tenant.remove()
    return FullDisk(log_bytes, before_bytes, full_bytes, refusal, redis_was_healthy, kept)


def _free_bytes(tenant: Host, mount: Path) -> float:
    """What the tenant's node-exporter says of a file system of the host. Raises ``LookupError``."""
    text = tenant.docker(
        *("exec", tenant.container("node-exporter"), "wget", "-q", "-O", "-", "http://127.0.0.1:9100/metrics")
    )
    for line in text.splitlines():
        if line.startswith("node_filesystem_avail_bytes{") and f'mountpoint="{mount}"' in line:
            return float(line.rpartition(" ")[2])
    raise LookupError(f"node-exporter knows nothing of {mount}")


def _storm(tenant: Host, image: str, mount: Path) -> int:
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


def _redis_cli(tenant: Host, *words: str) -> str:
    """A command in the tenant's Redis."""
    return tenant.docker("exec", tenant.container("redis"), "redis-cli", *words)


def _refused(tenant: Host) -> str:
    """Why a write is refused; empty when it is not."""
    answer = _redis_cli(tenant, "SET", "probe", "x" * PROBE_BYTES)
    return "" if answer == "OK" else answer
