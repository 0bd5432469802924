"""A day in half a minute: tasks that end well and in every other way, photographs to measure, and strangers."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import httpx

from sandbox.plain_http import NO_AUTHORITIES
from tests.observability.engine.bed import Bed
from tests.support.size_photos import photo
from tests.support.whatsapp_bridge import notification
from tests.support.worker_day import Day, submit_everything, wait_until_everything_is_over

REQUEST_SECONDS: Final = 10.0
SCRAPES_AFTER: Final = 3
"""Prometheus must have seen every counter before and after, and a rate needs two points."""

SEEN_SECONDS: Final = 120.0

PERSON: Final = "b0001.jpg"
HEIGHT_CM: Final = 178
VISITOR_PAUSE_SECONDS: Final = 1.0
"""Between two visitors, who come as long as the traffic lasts: a rate is asked over the last minute."""

HOSTS_OWN: Final = {
    "wearon_backup_last_success_timestamp_seconds": 0,
    "wearon_certificate_renewal_last_success_timestamp_seconds": 0,
    "wearon_certificate_expiry_timestamp_seconds": 60 * 24 * 3600,
}
"""What the host's scripts leave for node-exporter, in seconds from now."""


def make_traffic(bed: Bed, say: Callable[[str], None]) -> None:
    """Make it, wait until it is over and until every target was scraped again several times."""
    for name, after_seconds in HOSTS_OWN.items():
        (bed.textfiles / f"{name}.prom").write_text(f"# TYPE {name} gauge\n{name} {time.time() + after_seconds:.0f}\n")
    _wait_for_scrapes(bed, 1)
    say("tasks of every kind, photographs and strangers (half a minute)")
    day = Day(bed.stage, bed.worker)
    with visitors(bed):
        submit_everything(day)
        bed.bridge.post(notification("an alert of the run")).raise_for_status()
        bed.whatsapp.wait_for_accepted(1, REQUEST_SECONDS)
        wait_until_everything_is_over(day)
        say(f"waiting until Prometheus has seen it ({SCRAPES_AFTER} scrapes)")
        _wait_for_scrapes(bed, SCRAPES_AFTER)


@contextmanager
def visitors(bed: Bed) -> Iterator[None]:
    """Photographs that are measured and some that are refused, and a path nobody has, for as long as this lasts."""
    person = bed.stage.pictures.add(PERSON, photo(PERSON))
    gone = bed.stage.pictures.fault_url("not-found")
    over = threading.Event()

    def visit() -> None:
        with httpx.Client(
            base_url=bed.worker.url, timeout=REQUEST_SECONDS, trust_env=False, verify=NO_AUTHORITIES
        ) as client:
            while not over.wait(VISITOR_PAUSE_SECONDS):
                client.post("/estimate-body", json={"image_url": person, "height_cm": HEIGHT_CM}).raise_for_status()
                client.post("/estimate-body", json={"image_url": gone, "height_cm": HEIGHT_CM})
                client.post("/estimate-body", json={"height_cm": "tall"})
                client.get("/nobody/knows")

    with ThreadPoolExecutor(1, "visitors") as thread:
        visiting = thread.submit(visit)
        try:
            yield
        finally:
            over.set()
            visiting.result()


def _wait_for_scrapes(bed: Bed, count: int) -> None:
    """Every target was scraped so many times from now on."""
    since = time.time()

    def seen() -> bool:
        return all(
            (
                found := bed.prometheus.query(
                    f'min(count_over_time(up{{job="{job}"}}[{max(1, round(time.time() - since))}s]))'
                )
            )
            and float(found[0]["value"][1]) >= count
            for job in bed.answered
        )

    bed.prometheus.wait_until(seen, f"{count} scrapes of every target", seconds=SEEN_SECONDS)
