"""How much of its memory limit the container uses, as the kernel counts it.

Both versions of control groups show a container its own group at the same place. What counts is the working set: usage
without the file pages that nobody used lately, which the kernel takes back before it kills anything (the same number as
``docker stats`` and Kubernetes show).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")

NO_LIMIT_FROM_BYTES: Final = 1 << 60
"""Version 1 says "no limit" as the largest number of whole pages, 2**63 less a page; no machine has this much."""


@dataclass(frozen=True, slots=True)
class ContainerMemory:
    """What the container uses, and what it may use at most, in bytes."""

    working_set_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class _Files:
    """Where one version of control groups says it; ``inactive`` is the word in ``stat``."""

    usage: str
    limit: str
    stat: str
    inactive: str


_VERSIONS: Final = (
    _Files("memory.current", "memory.max", "memory.stat", "inactive_file"),
    _Files("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def read_container_memory(root: Path = CGROUP_ROOT) -> ContainerMemory | None:
    """The numbers of now; ``None`` outside a container, or in one without a limit. Three short files."""
    for files in _VERSIONS:
        try:
            return _read(root, files)
        except (OSError, ValueError):
            continue
    return None


def _read(root: Path, files: _Files) -> ContainerMemory | None:
    limit = (root / files.limit).read_text().strip()
    if limit == "max" or int(limit) >= NO_LIMIT_FROM_BYTES:
        return None
    usage_bytes = int((root / files.usage).read_text())
    stat = dict(line.split(maxsplit=1) for line in (root / files.stat).read_text().splitlines())
    return ContainerMemory(max(0, usage_bytes - int(stat.get(files.inactive, 0))), int(limit))


class MemoryGauges(Collector):
    """``wearon_memory_bytes`` and ``wearon_memory_limit_bytes``, read at each scrape; absent without a limit."""

    def __init__(self, registry: CollectorRegistry, root: Path = CGROUP_ROOT) -> None:
        self._root = root
        registry.register(self)

    def describe(self) -> list[Metric]:
        """What the registry knows them by."""
        return list(_families(None))

    def collect(self) -> Iterator[Metric]:
        """The values at a scrape, if there are any."""
        return _families(read_container_memory(self._root))


def _families(memory: ContainerMemory | None) -> Iterator[Metric]:
    used = GaugeMetricFamily(
        "wearon_memory_bytes", "Working set of the container; absent where it has no memory limit."
    )
    limit = GaugeMetricFamily("wearon_memory_limit_bytes", "Memory limit of the container; absent where it has none.")
    if memory is not None:
        used.add_metric([], memory.working_set_bytes)
        limit.add_metric([], memory.limit_bytes)
    yield used
    yield limit
