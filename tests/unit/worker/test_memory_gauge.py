"""What the kernel says of the container's memory, in both versions of control groups."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from worker.series.memory_gauge import ContainerMemory, MemoryGauges, read_container_memory

MIB = 1024 * 1024

VERSION_2: Mapping[str, str] = {
    "memory.current": f"{500 * MIB}\n",
    "memory.max": f"{1024 * MIB}\n",
    "memory.stat": f"anon {300 * MIB}\nfile {200 * MIB}\ninactive_file {150 * MIB}\nactive_file {50 * MIB}\n",
}
VERSION_1: Mapping[str, str] = {
    "memory/memory.usage_in_bytes": f"{500 * MIB}\n",
    "memory/memory.limit_in_bytes": f"{1024 * MIB}\n",
    "memory/memory.stat": f"cache {200 * MIB}\ninactive_file 0\ntotal_inactive_file {150 * MIB}\n",
}


def written(root: Path, files: Mapping[str, str]) -> Path:
    """A control group with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("files", [VERSION_2, VERSION_1], ids=["version 2", "version 1"])
def test_pages_of_files_that_nobody_used_lately_do_not_count(tmp_path: Path, files: Mapping[str, str]) -> None:
    assert read_container_memory(written(tmp_path, files)) == ContainerMemory(350 * MIB, 1024 * MIB)


@pytest.mark.parametrize(
    "files",
    [
        {**VERSION_2, "memory.max": "max\n"},
        {**VERSION_1, "memory/memory.limit_in_bytes": "9223372036854771712\n"},
        {},
        {**VERSION_2, "memory.current": "no number"},
    ],
    ids=["version 2 without a limit", "version 1 without a limit", "no control group", "another form"],
)
def test_without_a_limit_there_is_no_series(tmp_path: Path, files: Mapping[str, str]) -> None:
    registry = CollectorRegistry()
    MemoryGauges(registry, written(tmp_path, files))
    found = [registry.get_sample_value(name) for name in ("wearon_memory_bytes", "wearon_memory_limit_bytes")]
    assert found == [None, None]


def test_both_numbers_are_read_at_every_scrape(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    MemoryGauges(registry, written(tmp_path, VERSION_2))
    before = registry.get_sample_value("wearon_memory_bytes")
    (tmp_path / "memory.current").write_text(f"{600 * MIB}\n")
    after = registry.get_sample_value("wearon_memory_bytes")
    assert (before, after) == (350 * MIB, 450 * MIB)
    assert registry.get_sample_value("wearon_memory_limit_bytes") == 1024 * MIB
