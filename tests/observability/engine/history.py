"""A past for Prometheus: made-up series written into its store, as if it had scraped them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.observability.engine.prometheus import Prometheus
from tests.observability.tracks import Track

SCRAPE_SECONDS: Final = 15


def backfill(
    prometheus: Prometheus, promtool: Path, series: Mapping[str, Track], *, base: float, until_seconds: int
) -> None:
    """Write the courses into the data directory of a Prometheus that does not run yet."""
    prometheus.directory.mkdir(parents=True, exist_ok=True)
    source = prometheus.directory / "history.txt"
    with source.open("w", encoding="utf-8") as text:
        for name, track in series.items():
            for seconds in range(0, until_seconds, SCRAPE_SECONDS):
                if isinstance(value := track(seconds), int | float):
                    text.write(f"{name} {value} {base + seconds:.0f}\n")
        text.write("# EOF\n")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", source, prometheus.directory / "data"],
        check=True,
        capture_output=True,
    )
