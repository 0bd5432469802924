"""A hundred thousand tasks waiting: does the worker's memory notice, and where do they wait?"""

import time
from dataclasses import dataclass
from typing import Final

from proofs.bench.figures import Figure, Section, mebibytes
from proofs.bench.pictures import described, web_photographs
from proofs.bench.process_tree import MemoryWatch, cpu_seconds, pss_bytes
from proofs.bench.progress import Say
from proofs.bench.stage import Stage
from sandbox.servers.worker import LocalWorker

REQUESTS_PER_MINUTE: Final = 120
"""Low, so that the queue hardly shrinks while it is watched."""

LATENCY_SECONDS: Final = "5"

AIM_GROWTH_BYTES: Final = 64 * 2**20
"""Flat: the queue itself has a hundred and fifty."""

SETTLE_SECONDS: Final = 5.0

COUNTING_ERROR: Final = 1
"""The kill that ends the watch may fall between taking a task and logging it."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    waiting: int = 100_000
    small: int = 500
    watched_seconds: float = 30.0


FULL: Final = Extent()
QUICK: Final = Extent(waiting=5_000, small=100, watched_seconds=10.0)


@dataclass(frozen=True, slots=True)
class Working:
    """A worker at work for a while."""

    idle_bytes: int
    peak_bytes: int
    cpu_share: float
    taken: int
    left_in_queue: int


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """The same work twice: with a short queue as the reference, then with the long one."""
    short = _watch(stage, extent.small, extent, say)
    long = _watch(stage, extent.waiting, extent, say)
    accounted = long.left_in_queue + long.taken
    growth = long.peak_bytes - short.peak_bytes
    return Section(
        f"Memory with {extent.waiting:,} tasks waiting",
        f"A worker with `OPENAI_REQUESTS_PER_MINUTE={REQUESTS_PER_MINUTE}` works for {extent.watched_seconds:.0f} s "
        f"on a queue of {extent.small} tasks, and a fresh one on a queue of {extent.waiting:,} whose sessions are all "
        f"old enough for recovery to look at; photographs of {described(web_photographs())}.",
        (
            Figure(
                f"peak memory with {extent.waiting:,} waiting",
                mebibytes(long.peak_bytes),
                f"{mebibytes(short.peak_bytes)} with {extent.small} waiting",
                f"grows < {mebibytes(AIM_GROWTH_BYTES)}",
                growth < AIM_GROWTH_BYTES,
            ),
            Figure("memory idle, before the tasks came", mebibytes(long.idle_bytes), mebibytes(short.idle_bytes)),
            Figure(
                "still in the producer's list, or taken by its turn",
                f"{long.left_in_queue:,} + {long.taken}",
                f"{extent.waiting:,} pushed",
                "all",
                abs(accounted - extent.waiting) <= COUNTING_ERROR,
            ),
            Figure(
                "CPU of the worker meanwhile, in processors",
                f"{long.cpu_share:.2f}",
                f"{short.cpu_share:.2f} with {extent.small} waiting",
            ),
        ),
    )


def _watch(stage: Stage, waiting: int, extent: Extent, say: Say) -> Working:
    customers = stage.reset(latency=LATENCY_SECONDS)
    urls = stage.serve(web_photographs())
    worker = stage.worker(OPENAI_REQUESTS_PER_MINUTE=str(REQUESTS_PER_MINUTE))
    with worker:
        time.sleep(SETTLE_SECONDS)
        idle_bytes = pss_bytes(worker.pid)
        say(f"backlog: pushing {waiting:,} tasks")
        stage.fill_queue(customers, urls, waiting)
        say(f"backlog: watching for {extent.watched_seconds:.0f} s")
        cpu_before, started = cpu_seconds(worker.pid), time.monotonic()
        with MemoryWatch(worker.pid) as memory:
            time.sleep(extent.watched_seconds)
        cpu_share = (cpu_seconds(worker.pid) - cpu_before) / (time.monotonic() - started)
        # Frozen in an instant, so that queue and log agree; nothing is lost, and this world is thrown away.
        worker.kill()
    return Working(idle_bytes, memory.peak_bytes, cpu_share, _taken(worker), stage.producer.queue_length())


def _taken(worker: LocalWorker) -> int:
    return sum(line.get("event") == "task_taken" for line in worker.log_lines())
