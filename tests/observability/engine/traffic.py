"""A day in half a minute: tasks that end well and in every other way, photographs to measure, and strangers."""

import time
from collections.abc import Callable
from typing import Final

import httpx

from sandbox.plain_http import NO_AUTHORITIES
from tests.observability.engine.bed import Bed
from tests.support.worker_day import Day, submit_everything, wait_until_everything_is_over

REQUEST_SECONDS: Final = 10.0
SCRAPES_AFTER: Final = 3
"""Prometheus must have seen every counter before and after, and a rate needs two points."""

SEEN_SECONDS: Final = 120.0

PERSON: Final = "person-standing.jpg"


def make_traffic(bed: Bed, say: Callable[[str], None]) -> None:
    """Make it, wait until it is over and until every target was scraped again several times."""
    _wait_for_scrapes(bed, 1)
    say("tasks of every kind, photographs and strangers (half a minute)")
    day = Day(bed.stage, bed.worker)
    submit_everything(day)
    _ask_for_sizes(bed)
    wait_until_everything_is_over(day)
    say(f"waiting until Prometheus has seen it ({SCRAPES_AFTER} scrapes)")
    _wait_for_scrapes(bed, SCRAPES_AFTER)


def _ask_for_sizes(bed: Bed) -> None:
    """One that is answered, some that are refused, and paths and methods nobody has."""
    with httpx.Client(
        base_url=bed.worker.url, timeout=REQUEST_SECONDS, trust_env=False, verify=NO_AUTHORITIES
    ) as client:
        client.post("/estimate-body", json={"image_url": bed.stage.photo, "height_cm": 180})
        client.post("/estimate-body", json={"image_url": bed.stage.pictures.fault_url("not-found"), "height_cm": 180})
        client.post("/estimate-body", json={"height_cm": "tall"})
        client.get("/nobody/knows")
        client.get("/health")


def _wait_for_scrapes(bed: Bed, count: int) -> None:
    """Every target was scraped so many times from now on."""
    since = time.time()
    jobs = [target["labels"]["job"] for target in bed.prometheus.targets()]

    def seen() -> bool:
        return all(
            (
                found := bed.prometheus.query(
                    f'min(count_over_time(up{{job="{job}"}}[{max(1, round(time.time() - since))}s]))'
                )
            )
            and float(found[0]["value"][1]) >= count
            for job in jobs
        )

    bed.prometheus.wait_until(seen, f"{count} scrapes of every target", seconds=SEEN_SECONDS)
