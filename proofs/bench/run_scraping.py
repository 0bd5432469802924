"""What it costs the worker to be watched: its processor time at 300 a minute while Prometheus asks, and while not."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from proofs.bench.figures import Figure, Section, milliseconds
from proofs.bench.pictures import described, web_photographs
from proofs.bench.process_tree import cpu_seconds
from proofs.bench.progress import Say
from proofs.bench.stage import Stage
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.worker import LocalWorker

PER_MINUTE: Final = 300.0
LATENCY_SECONDS: Final = 5
"""Of the provider: short, so that the load is even soon."""

SCRAPE_INTERVAL_SECONDS: Final = 15.0
"""Of ``monitoring/prometheus/prometheus.yml``."""

ASKED_EVERY_SECONDS: Final = 1.0
"""Fifteen times as often, so that the difference stands out from the rest; the share is divided by it again."""

ANSWER_SECONDS: Final = 5.0
AIM_SHARE: Final = 0.03
"""Of the worker's processor time."""

TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Extent:
    """``pairs`` of windows, one with and one without being asked, in turns."""

    pairs: int = 4
    window_seconds: float = 30.0

    @property
    def tasks(self) -> int:
        """How many are offered: those of the windows, and of the time before the load is even."""
        return round((2 * self.pairs * self.window_seconds + 2 * LATENCY_SECONDS) * PER_MINUTE / 60)


FULL: Final = Extent()
QUICK: Final = Extent(pairs=1, window_seconds=5.0)


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """Offer an even load, and ask in every other window."""
    photographs = web_photographs()
    customers = stage.reset(latency=str(LATENCY_SECONDS))
    urls = stage.serve(photographs)
    with stage.worker() as worker, ThreadPoolExecutor(1, "offer") as background:
        say(f"scraping: {extent.tasks} tasks, asked in every other window of {extent.window_seconds:.0f} s")
        offering = background.submit(stage.offer, customers, urls, extent.tasks, per_minute=PER_MINUTE)
        time.sleep(2 * LATENCY_SECONDS)
        asked_cpu_seconds = alone_cpu_seconds = 0.0
        for _ in range(extent.pairs):
            alone_cpu_seconds += _used(worker, extent.window_seconds)
            with asking(worker):
                asked_cpu_seconds += _used(worker, extent.window_seconds)
        offering.result()
        stage.wait_until_completed(extent.tasks, LATENCY_SECONDS + TIMEOUT_SECONDS)
    amplified = ASKED_EVERY_SECONDS / SCRAPE_INTERVAL_SECONDS
    share = (asked_cpu_seconds - alone_cpu_seconds) / alone_cpu_seconds * amplified
    measured_seconds = extent.pairs * extent.window_seconds
    per_scrape = (asked_cpu_seconds - alone_cpu_seconds) / measured_seconds * ASKED_EVERY_SECONDS
    return Section(
        "The cost of being watched",
        f"{PER_MINUTE:.0f} generations a minute of {described(photographs)}; in every other window of "
        f"{extent.window_seconds:.0f} s GET /metrics every {ASKED_EVERY_SECONDS:.0f} s, {1 / amplified:.0f} times as "
        "often as Prometheus asks, and the difference divided by that. The reference is the same worker in the "
        "windows between.",
        (
            Figure(
                "processor time, asked every second",
                f"{asked_cpu_seconds / measured_seconds:.3f} processors",
                f"{alone_cpu_seconds / measured_seconds:.3f} not asked",
            ),
            Figure("one scrape", milliseconds(per_scrape), "difference of the row above"),
            Figure(
                "share of the worker's processor time, asked every 15 s",
                f"{100 * share:.2f} %",
                "0 % not asked",
                f"< {100 * AIM_SHARE:.0f} %",
                share < AIM_SHARE,
            ),
        ),
    )


def _used(worker: LocalWorker, seconds: float) -> float:
    before = cpu_seconds(worker.pid)
    time.sleep(seconds)
    return cpu_seconds(worker.pid) - before


@contextmanager
def asking(worker: LocalWorker) -> Iterator[None]:
    """Ask for the metrics all the time, as Prometheus does: one connection that stays open."""
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False, verify=NO_AUTHORITIES) as client:
            while not ended.wait(ASKED_EVERY_SECONDS):
                client.get(f"{worker.url}/metrics").raise_for_status()

    with ThreadPoolExecutor(1, "ask") as thread:
        asked = thread.submit(ask)
        try:
            yield
        finally:
            ended.set()
            asked.result()
