"""What the figures were measured on."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self

import psutil

VERSIONS_NAMED: Final = ("celery", "kombu", "redis", "httpx", "pillow", "postgrest", "fastapi", "uvicorn")
"""Packages whose version moves the figures."""

CPU_INFO: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """Size, versions and date of a run."""

    measured_at: datetime
    processors: int
    processor_model: str
    memory_bytes: int
    system: str
    python: str
    packages: dict[str, str]
    load_before: float

    @classmethod
    def this(cls) -> Self:
        """The machine we are on, now."""
        return cls(
            measured_at=datetime.now(UTC),
            processors=len(os.sched_getaffinity(0)),
            processor_model=_processor_model(),
            memory_bytes=psutil.virtual_memory().total,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            packages={name: version(name) for name in VERSIONS_NAMED},
            load_before=os.getloadavg()[0],
        )

    def facts(self) -> Iterator[tuple[str, str]]:
        """Name and value of each, for people."""
        yield "measured", f"{self.measured_at:%Y-%m-%d %H:%M} UTC"
        yield "machine", f"{self.processors} x {self.processor_model}, {self.memory_bytes / 2**30:.0f} GiB"
        yield "load average before the run", f"{self.load_before:.2f}"
        yield "system", f"{self.system}, Python {self.python}"
        yield "packages", ", ".join(f"{name} {number}" for name, number in self.packages.items())


def _processor_model() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
