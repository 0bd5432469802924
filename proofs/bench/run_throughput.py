"""A minute's 300 tasks, for minutes: does the worker keep up, how fast, in how much memory, and is /health quick?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from proofs.bench.bare_app import BareApp
from proofs.bench.figures import (
    Figure,
    Section,
    longest_pause_seconds,
    mebibytes,
    milliseconds,
    per_minute,
    percentile,
)
from proofs.bench.health_probe import HealthProbe, Looks
from proofs.bench.image_work import bare_cpu_seconds
from proofs.bench.pictures import Photograph, described, web_photographs
from proofs.bench.process_tree import MemoryWatch, cpu_seconds, pss_bytes
from proofs.bench.progress import Say
from proofs.bench.stage import Stage
from sandbox.servers.worker import LocalWorker

AIM_OVERHEAD_SECONDS: Final = 3.0
"""At the 95th percentile, on top of the provider's own time: 33 s with its 30 s."""

AIM_RATE_SHARE: Final = 0.98
"""Keeping up: completions come at the rate of the offers, but for the jitter of the first and the last."""

AIM_PEAK_BYTES: Final = 896 * 2**20
AIM_HEALTH_P99_SECONDS: Final = 0.020

WARM_UP_LATENCY: Final = "1"
TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    minutes: float = 3.0
    per_minute: float = 300.0
    latency_seconds: int = 30
    idle_seconds: float = 30.0
    warm_up: int = 10

    @property
    def tasks(self) -> int:
        """How many are offered."""
        return round(self.minutes * self.per_minute)


FULL: Final = Extent()
QUICK: Final = Extent(minutes=0.25, latency_seconds=5, idle_seconds=5.0)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen from outside while the load was on; ``idle_pss_bytes`` just before."""

    idle_pss_bytes: int
    peak_pss_bytes: int
    looks: Looks
    worker_cpu_seconds: float
    provider: dict[str, Any]


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """Offer the load and watch."""
    photographs = web_photographs()
    customers = stage.reset(latency=WARM_UP_LATENCY)
    with stage.worker() as worker, BareApp(worker.directory) as bare:
        say(f"load: warming up with {extent.warm_up} generations of {described(photographs)}")
        urls = stage.serve(photographs)
        stage.offer(customers, urls, extent.warm_up)
        stage.wait_until_completed(extent.warm_up, TIMEOUT_SECONDS)
        say(f"load: {extent.idle_seconds:.0f} s idle")
        with HealthProbe(worker.url, bare.url) as idle:
            time.sleep(extent.idle_seconds)
        probe = HealthProbe(worker.url, bare.url)
        observed = _load(stage, worker, urls=urls, probe=probe, extent=extent, say=say)
    figures = (*_latency_figures(stage, observed, extent), *_resource_figures(observed, photographs, extent))
    return Section(
        "Throughput, memory and /health under load",
        f"{extent.tasks} tasks offered evenly at {extent.per_minute:.0f}/min for {extent.minutes:g} min, both channels "
        f"in turn, provider latency {extent.latency_seconds} s, two photographs of ordinary size each "
        f"({described(photographs)}). Latency is `completed_at` - `created_at` in the database; its reference is what "
        "the provider's simulator itself took. Memory is the PSS of all the worker's processes, every 0.5 s. "
        "/health is asked every 100 ms from a process of its own; its reference is a bare FastAPI application that "
        "answers a constant, asked by the same client in the same moments.",
        (*figures, *_health_figures("idle", idle.looks), *_health_figures("under load", observed.looks)),
    )


def _load(
    stage: Stage, worker: LocalWorker, *, urls: list[str], probe: HealthProbe, extent: Extent, say: Say
) -> Observed:
    idle_pss_bytes = pss_bytes(worker.pid)
    customers = stage.restart_counting(latency=str(extent.latency_seconds))
    say(f"load: {extent.tasks} tasks at {extent.per_minute:.0f}/min, provider latency {extent.latency_seconds} s")
    cpu_before = cpu_seconds(worker.pid)
    with probe, MemoryWatch(worker.pid) as memory:
        stage.offer(customers, urls, extent.tasks, per_minute=extent.per_minute)
        say("load: all offered, waiting for the last")
        stage.wait_until_completed(extent.tasks, extent.latency_seconds + TIMEOUT_SECONDS)
    cpu_used = cpu_seconds(worker.pid) - cpu_before
    with stage.world.simulator.control() as simulator:
        provider = simulator.stats()
    return Observed(idle_pss_bytes, memory.peak_bytes, probe.looks, cpu_used, provider)


def _latency_figures(stage: Stage, observed: Observed, extent: Extent) -> tuple[Figure, ...]:
    times = stage.completed_times()
    offered = per_minute([created for created, _ in times])
    completed = per_minute([done for _, done in times])
    latencies = [(done - created).total_seconds() for created, done in times]
    provider = [request["duration_seconds"] for request in observed.provider["recent"]]
    p50, p95 = percentile(latencies, 50), percentile(latencies, 95)
    aim_seconds = extent.latency_seconds + AIM_OVERHEAD_SECONDS
    return (
        Figure(
            "completions per minute",
            f"{completed:.1f}",
            f"{offered:.1f} offered",
            "keeps up",
            completed >= AIM_RATE_SHARE * offered,
        ),
        Figure("queued -> completed, P50", f"{p50:.2f} s", f"{percentile(provider, 50):.2f} s provider"),
        Figure(
            "queued -> completed, P95",
            f"{p95:.2f} s",
            f"{percentile(provider, 95):.2f} s provider",
            f"< {aim_seconds:.0f} s",
            p95 < aim_seconds,
        ),
        Figure("queued -> completed, slowest", f"{max(latencies):.2f} s", f"{max(provider):.2f} s provider"),
        Figure(
            "longest pause between completions",
            f"{longest_pause_seconds([done for _, done in times]):.2f} s",
            f"{longest_pause_seconds([created for created, _ in times]):.2f} s between offers",
        ),
    )


def _resource_figures(observed: Observed, photographs: Sequence[Photograph], extent: Extent) -> tuple[Figure, ...]:
    used = observed.worker_cpu_seconds / extent.tasks
    bare = bare_cpu_seconds([photograph.jpeg for photograph in photographs])
    return (
        Figure(
            "greatest number in flight at the provider",
            str(observed.provider["peak_in_flight"]),
            f"{extent.per_minute / 60 * extent.latency_seconds:.0f} by rate and latency",
        ),
        Figure(
            "peak memory (PSS, all processes)",
            mebibytes(observed.peak_pss_bytes),
            f"{mebibytes(observed.idle_pss_bytes)} idle",
            f"< {mebibytes(AIM_PEAK_BYTES)}",
            observed.peak_pss_bytes < AIM_PEAK_BYTES,
        ),
        Figure("CPU per generation in this run", milliseconds(used), f"{milliseconds(bare)} bare image work"),
    )


def _health_figures(when: str, looks: Looks) -> tuple[Figure, ...]:
    p99 = percentile(looks.worker, 99)
    return (
        Figure(
            f"/health {when}, P50",
            milliseconds(percentile(looks.worker, 50)),
            f"{milliseconds(percentile(looks.reference, 50))} bare FastAPI",
        ),
        Figure(
            f"/health {when}, P99",
            milliseconds(p99),
            f"{milliseconds(percentile(looks.reference, 99))} bare FastAPI",
            f"< {AIM_HEALTH_P99_SECONDS * 1_000:.0f} ms",
            p99 < AIM_HEALTH_P99_SECONDS,
        ),
    )
