"""Processor time per generation against the bare image work of the same inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proofs.bench.figures import Figure, Section, milliseconds
from proofs.bench.image_work import bare_cpu_seconds
from proofs.bench.pictures import Photograph, described, phone_photographs, web_photographs
from proofs.bench.process_tree import cpu_seconds
from proofs.bench.progress import Say
from proofs.bench.stage import Stage
from sandbox.servers.worker import LocalWorker

LATENCY_SECONDS: Final = "2"
"""Short: waiting costs next to nothing, and the run lasts as long as the offer."""

TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Two photographs of one size, and what the ratio is to be with them."""

    name: str
    photographs: Callable[[], Sequence[Photograph]]
    aim_ratio: float


INPUTS: Final = (
    Inputs("12 megapixels", phone_photographs, 1.00),
    Inputs("3 megapixels", web_photographs, 1.05),
)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured with each kind of inputs."""

    generations: int = 120
    warm_up: int = 20
    per_minute: float = 300.0


FULL: Final = Extent()
QUICK: Final = Extent(generations=20, warm_up=4)


@dataclass(frozen=True, slots=True)
class Used:
    """Processor time for one generation: the worker's, and Pillow's alone before and after."""

    worker_seconds: float
    bare_before_seconds: float
    bare_after_seconds: float

    @property
    def bare_seconds(self) -> float:
        """The reference."""
        return (self.bare_before_seconds + self.bare_after_seconds) / 2

    @property
    def ratio(self) -> float:
        """How many times the bare image work."""
        return self.worker_seconds / self.bare_seconds


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """User and system time of the worker's processes, and of Pillow alone before and after."""
    stage.reset(latency=LATENCY_SECONDS)
    with stage.worker() as worker:
        used = {inputs: _used(stage, worker, inputs, extent, say) for inputs in INPUTS}
    kinds = "; ".join(
        f"of {inputs.name}, {described(inputs.photographs())} (before {milliseconds(one.bare_before_seconds)}, after "
        f"{milliseconds(one.bare_after_seconds)})"
        for inputs, one in used.items()
    )
    return Section(
        "Processor time per generation",
        f"{extent.generations} generations at {extent.per_minute:.0f}/min after {extent.warm_up} to warm up, with two "
        f"photographs each, provider latency {LATENCY_SECONDS} s. User and system time of the main and the Celery "
        f"process, idle work included. Reference: Pillow alone decodes, shrinks and encodes the same two. Photographs: "
        f"{kinds}.",
        tuple(figure for inputs, one in used.items() for figure in _figures(inputs, one)),
    )


def _used(stage: Stage, worker: LocalWorker, inputs: Inputs, extent: Extent, say: Say) -> Used:
    photographs = inputs.photographs()
    jpegs = [photograph.jpeg for photograph in photographs]
    urls = stage.serve(photographs)
    customers = stage.restart_counting(latency=LATENCY_SECONDS)
    say(f"CPU: warming up with {extent.warm_up} generations of {described(photographs)}")
    stage.offer(customers, urls, extent.warm_up, per_minute=extent.per_minute)
    stage.wait_until_completed(extent.warm_up, TIMEOUT_SECONDS)
    bare_before = bare_cpu_seconds(jpegs)
    say(f"CPU: {extent.generations} generations at {extent.per_minute:.0f}/min")
    before = cpu_seconds(worker.pid)
    stage.offer(customers, urls, extent.generations, per_minute=extent.per_minute)
    stage.wait_until_completed(extent.warm_up + extent.generations, TIMEOUT_SECONDS)
    used = (cpu_seconds(worker.pid) - before) / extent.generations
    return Used(used, bare_before, bare_cpu_seconds(jpegs))


def _figures(inputs: Inputs, used: Used) -> tuple[Figure, Figure]:
    return (
        Figure(
            f"CPU per generation, {inputs.name}",
            milliseconds(used.worker_seconds),
            f"{milliseconds(used.bare_seconds)} bare image work",
        ),
        Figure(
            f"CPU per generation / bare image work, {inputs.name}",
            f"{used.ratio:.2f}",
            "1",
            f"<= {inputs.aim_ratio:.2f}",
            used.ratio <= inputs.aim_ratio,
        ),
    )
