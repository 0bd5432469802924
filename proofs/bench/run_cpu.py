"""Processor time per generation against the bare image work of the same inputs."""

from dataclasses import dataclass
from typing import Final

from proofs.bench.figures import Figure, Section, milliseconds
from proofs.bench.image_work import bare_cpu_seconds
from proofs.bench.pictures import described, phone_photographs
from proofs.bench.process_tree import cpu_seconds
from proofs.bench.progress import Say
from proofs.bench.stage import Stage

AIM_RATIO: Final = 1.5
LATENCY_SECONDS: Final = "2"
"""Short: waiting costs next to nothing, and the run lasts as long as the offer."""

TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    generations: int = 120
    warm_up: int = 20
    per_minute: float = 300.0


FULL: Final = Extent()
QUICK: Final = Extent(generations=20, warm_up=4)


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """User and system time of the worker's processes, and of Pillow alone before and after."""
    photographs = phone_photographs()
    jpegs = [photograph.jpeg for photograph in photographs]
    customers = stage.reset(latency=LATENCY_SECONDS)
    urls = stage.serve(photographs)
    with stage.worker() as worker:
        say(f"CPU: warming up with {extent.warm_up} generations of {described(photographs)}")
        stage.offer(customers, urls, extent.warm_up, per_minute=extent.per_minute)
        stage.wait_until_completed(extent.warm_up, TIMEOUT_SECONDS)
        bare_before = bare_cpu_seconds(jpegs)
        say(f"CPU: {extent.generations} generations at {extent.per_minute:.0f}/min")
        before = cpu_seconds(worker.pid)
        stage.offer(customers, urls, extent.generations, per_minute=extent.per_minute)
        stage.wait_until_completed(extent.warm_up + extent.generations, TIMEOUT_SECONDS)
        used = (cpu_seconds(worker.pid) - before) / extent.generations
        bare_after = bare_cpu_seconds(jpegs)
    bare = (bare_before + bare_after) / 2
    ratio = used / bare
    return Section(
        "Processor time per generation",
        f"{extent.generations} generations at {extent.per_minute:.0f}/min after {extent.warm_up} to warm up, two "
        f"12-megapixel photographs each ({described(photographs)}), provider latency {LATENCY_SECONDS} s. User and "
        "system time of the main and the Celery process, idle work included. Reference: Pillow alone decodes, shrinks "
        f"and encodes the same two (before {milliseconds(bare_before)}, after {milliseconds(bare_after)}).",
        (
            Figure("CPU per generation", milliseconds(used), f"{milliseconds(bare)} bare image work"),
            Figure("CPU per generation / bare image work", f"{ratio:.2f}", "1", f"<= {AIM_RATIO}", ratio <= AIM_RATIO),
        ),
    )
