"""The stack fits the smallest supported host while a deploy runs two workers (ADR 0111)."""

import re
from pathlib import Path
from typing import Any, Final

from config.settings import Settings
from tests.support.yaml_files import read_yaml

REPOSITORY: Final = Path(__file__).resolve().parents[3]
NOTE: Final = (REPOSITORY / "docs" / "notes" / "0111-memory-of-a-host.md").read_text()
SERVICES: Final[dict[str, Any]] = read_yaml(REPOSITORY / "compose" / "services.yml")["services"]

SMALLEST_HOST_MIB: Final = 4096
SMALLEST_HOST_PROCESSORS: Final = 2

HIGHEST_MEASURED_WORKER_MIB: Final = 609
"""docs/benchmarks.md, at 300 a minute."""

MARGIN: Final = 1.4
"""Over what was measured: /tmp, other photographs than the benchmark's, the next release."""

MOST_FOR_MONITORING_MIB: Final = 1536
"""What the monitoring may take, by its limits."""

SERVING: Final = frozenset({"worker", "redis", "nginx", "certbot"})
"""The others watch these."""

THREADS_BESIDE_TASKS: Final = 100
"""Of the worker's processes, roughly: pools, event loops, measuring, libraries."""


def mib(text: str) -> int:
    """Of a limit as it is written."""
    found = re.fullmatch(r"(\d+)M", text)
    assert found, text
    return int(found[1])


def limit(name: str) -> dict[str, Any]:
    """Of one service."""
    limits: dict[str, Any] = SERVICES[name]["deploy"]["resources"]["limits"]
    return limits


def table(heading: str, next_heading: str) -> dict[str, int]:
    """A table of the note: names, and sizes in MiB."""
    text = NOTE.split(f"## {heading}", 1)[1].split(f"## {next_heading}", 1)[0]
    return {name: int(size) for name, size in re.findall(r"^\| ([^|]+) \| (\d+) \|$", text, re.MULTILINE)}


def monitoring_mib() -> dict[str, int]:
    """The limits of the services that watch the others."""
    return {name: mib(limit(name)["memory"]) for name in SERVICES if name not in SERVING}


def needed_mib() -> int:
    """Every limit, the worker's twice, and the system."""
    there = sum(mib(limit(name)["memory"]) for name in SERVICES) + mib(limit("worker")["memory"])
    return there + table("The sum", "Where")["the system"]


def test_two_workers_everything_else_and_the_monitoring_fit_the_smallest_host() -> None:
    assert needed_mib() <= SMALLEST_HOST_MIB


def test_the_note_says_the_same_sum() -> None:
    assert f"| together | {needed_mib()} |" in NOTE


def test_the_note_says_each_limit_of_the_monitoring() -> None:
    assert table("Monitoring", "The sum") == monitoring_mib()
    assert table("The sum", "Where")["monitoring"] == sum(monitoring_mib().values())


def test_the_monitoring_stays_within_its_share() -> None:
    assert sum(monitoring_mib().values()) <= MOST_FOR_MONITORING_MIB


def test_room_is_kept_for_the_system() -> None:
    assert table("The sum", "Where")["the system"] >= 256


def test_the_worker_has_more_than_it_was_ever_seen_to_need() -> None:
    peaks = re.findall(r"^\| peak memory.*? \| (\d+) MiB", (REPOSITORY / "docs" / "benchmarks.md").read_text(), re.M)
    assert max(map(int, peaks)) <= HIGHEST_MEASURED_WORKER_MIB
    assert mib(limit("worker")["memory"]) >= MARGIN * HIGHEST_MEASURED_WORKER_MIB


def test_redis_refuses_writes_long_before_the_kernel_kills_it() -> None:
    found = re.search(r"^maxmemory (\d+)mb$", (REPOSITORY / "redis" / "redis.conf").read_text(), re.MULTILINE)
    assert found
    assert 2 * int(found[1]) <= mib(limit("redis")["memory"]), "a rewrite of its file may copy every page"


def test_no_allowed_concurrency_meets_the_limit_of_threads() -> None:
    (most,) = [rule.le for rule in Settings.model_fields["worker_concurrency"].metadata if hasattr(rule, "le")]
    assert limit("worker")["pids"] >= most + THREADS_BESIDE_TASKS


def test_no_service_asks_for_more_processors_than_the_smallest_host_has() -> None:
    asked = {name: float(limit(name)["cpus"]) for name in SERVICES}
    assert max(asked.values()) < SMALLEST_HOST_PROCESSORS, "Docker refuses to start a container that may use more"
