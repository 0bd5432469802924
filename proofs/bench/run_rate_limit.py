"""Two workers and a long queue: how many requests reach the provider in any 60 s (NFR-1.4)?"""

from dataclasses import dataclass
from typing import Final

from proofs.bench.figures import Figure, Section, greatest_in_window
from proofs.bench.pictures import described, web_photographs
from proofs.bench.progress import Say
from proofs.bench.stage import Stage

LIMIT: Final = 300
LATENCY_SECONDS: Final = "1"
"""Short, so that nothing but the limit holds the workers back."""

TIMEOUT_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    tasks: int = 700


FULL: Final = Extent()
QUICK: Final = Extent(tasks=40)


def measure(stage: Stage, extent: Extent, say: Say) -> Section:
    """Fill the queue, start two workers, and count at the provider."""
    photographs = web_photographs()
    customers = stage.reset(latency=LATENCY_SECONDS)
    say(f"rate limit: {extent.tasks} tasks wait, then two workers start")
    stage.offer(customers, stage.serve(photographs), extent.tasks)
    with stage.worker(), stage.worker():
        stage.wait_until_completed(extent.tasks, TIMEOUT_SECONDS)
    with stage.world.simulator.control() as simulator:
        arrivals = simulator.stats(arrivals=True)["arrivals"]
    greatest = greatest_in_window(arrivals)
    rate = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) * 60
    return Section(
        "The provider's rate limit",
        f"{extent.tasks} tasks wait in the queue, two workers with `OPENAI_REQUESTS_PER_MINUTE={LIMIT}` start "
        f"together, provider latency {LATENCY_SECONDS} s, photographs of {described(photographs)}. Counted at the "
        "simulator, over every window of 60 s wherever it starts.",
        (
            Figure(
                "most provider requests in any 60 s, two workers",
                str(greatest),
                f"{LIMIT} is the limit",
                f"<= {LIMIT}",
                greatest <= LIMIT,
            ),
            Figure("provider requests per minute over the whole run", f"{rate:.0f}", f"{len(arrivals)} requests"),
        ),
    )
