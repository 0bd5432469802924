"""The promised rate, held for long: does the queue grow, and does the provider's limit hold in every minute of it?"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from proofs.bench.figures import Figure, Section, greatest_in_window, per_minute, percentile, shortest_span_seconds
from proofs.bench.pictures import described, light_photographs, web_photographs
from proofs.bench.progress import Say
from proofs.bench.stage import Stage

LIMIT: Final = 300
"""``OPENAI_REQUESTS_PER_MINUTE``, and what is offered."""

LATENCY_SECONDS: Final = 30
WARM_UP: Final = 10
WARM_UP_LATENCY: Final = "1"
TIMEOUT_SECONDS: Final = 180.0

AIM_PER_MINUTE: Final = 299.2
"""The limit with a margin of 0.16 s in its window."""

AIM_P95_SECONDS: Final = 34.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured; the rate and the time are those of the last ``judged_minutes`` of the offering.

    ``light`` takes small photographs: for a machine that has other things to do. What is offered is all the provider
    allows, so a machine that once falls behind never catches up.
    """

    minutes: float = 20.0
    judged_minutes: float = 5.0
    workers: int = 1
    light: bool = False

    @property
    def tasks(self) -> int:
        """How many are offered."""
        return round(self.minutes * LIMIT)


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """Offer as much as is promised, and look at the end of it."""
    photographs = light_photographs() if extent.light else web_photographs()
    customers = stage.reset(latency=WARM_UP_LATENCY)
    with ExitStack() as workers:
        for _ in range(extent.workers):
            workers.enter_context(stage.worker())
        urls = stage.serve(photographs)
        stage.offer(customers, urls, WARM_UP)
        stage.wait_until_completed(WARM_UP, TIMEOUT_SECONDS)
        say(f"hold: {extent.tasks} tasks at {LIMIT}/min to {_workers(extent)}, provider latency {LATENCY_SECONDS} s")
        customers = stage.restart_counting(latency=str(LATENCY_SECONDS))
        stage.offer(customers, urls, extent.tasks, per_minute=LIMIT)
        say("hold: all offered, waiting for the last")
        stage.wait_until_completed(extent.tasks, LATENCY_SECONDS + TIMEOUT_SECONDS)
    with stage.world.simulator.control() as simulator:
        arrivals = simulator.stats(arrivals=True)["arrivals"]
    return Section(
        f"{LIMIT}/min held for {extent.minutes:g} minutes, {_workers(extent)}",
        f"{extent.tasks} tasks offered evenly at {LIMIT}/min, provider latency {LATENCY_SECONDS} s, two photographs "
        f"each ({described(photographs)}). Rate and time are of the completions in the last "
        f"{extent.judged_minutes:g} minutes of the offering. Arrivals are counted at the simulator, over every window "
        "of 60 s wherever it starts.",
        (*_pace_figures(stage.completed_times(), extent), *_arrival_figures(arrivals, extent)),
    )


def _workers(extent: Extent) -> str:
    return "one worker" if extent.workers == 1 else f"{extent.workers} workers"


def _pace_figures(times: Sequence[tuple[datetime, datetime]], extent: Extent) -> tuple[Figure, ...]:
    until = max(created for created, _ in times)
    since = until - timedelta(minutes=extent.judged_minutes)
    judged = [(created, done) for created, done in times if since < done <= until]
    rate = per_minute([done for _, done in judged])
    offered = per_minute([created for created, _ in times])
    p95 = percentile([(done - created).total_seconds() for created, done in judged], 95)
    of_whom = f"last {extent.judged_minutes:g} minutes, {_workers(extent)}"
    return (
        Figure(
            f"completions per minute, {of_whom}",
            f"{rate:.1f}",
            f"{offered:.1f} offered",
            f">= {AIM_PER_MINUTE}",
            rate >= AIM_PER_MINUTE,
        ),
        Figure(
            f"queued -> completed, P95, {of_whom}",
            f"{p95:.2f} s",
            f"{LATENCY_SECONDS} s provider",
            f"< {AIM_P95_SECONDS:.0f} s",
            p95 < AIM_P95_SECONDS,
        ),
    )


def _arrival_figures(arrivals: Sequence[float], extent: Extent) -> tuple[Figure, ...]:
    greatest = greatest_in_window(arrivals)
    return (
        Figure(
            f"most provider requests in any 60 s, {_workers(extent)}",
            str(greatest),
            f"{LIMIT} is the limit",
            f"<= {LIMIT}",
            greatest <= LIMIT,
        ),
        Figure(
            f"shortest time in which {LIMIT + 1} requests arrived, {_workers(extent)}",
            f"{shortest_span_seconds(arrivals, LIMIT + 1):.3f} s",
            "60 s is the provider's window",
        ),
    )
