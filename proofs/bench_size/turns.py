"""What one side of the comparison did in one turn. Standard library only: MediaPipe's own environment runs it, too."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

Shown = TypeVar("Shown")


@dataclass(frozen=True)
class Turn:
    """What one side of the comparison did in one turn: pictures, seconds on the clock, seconds of processor."""

    pictures: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor for one picture."""
        return 1000 * self.cpu_seconds / self.pictures


@dataclass
class Side:
    """All turns of one side of the comparison, in order."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Pictures a second, in the middle turn."""
        return median(turn.per_second for turn in self.turns)

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor for one picture, in the middle turn."""
        return median(turn.cpu_ms for turn in self.turns)

    def throughput_over(self, other: "Side") -> float:
        """By the clock, each turn beside the other's of the same moment; the middle one of these."""
        return median(one.per_second / two.per_second for one, two in zip(self.turns, other.turns, strict=True))

    def work_over(self, other: "Side") -> float:
        """As :meth:`throughput_over`, by processor time: how much of it would be the other's."""
        return median(two.cpu_ms / one.cpu_ms for one, two in zip(self.turns, other.turns, strict=True))


def threads_at_priority(threads: int, niceness: int) -> ThreadPoolExecutor:
    """As the service measures: at a lower priority, of which Linux keeps one for each thread."""

    def step_back() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)

    return ThreadPoolExecutor(threads, initializer=step_back)


def model_turn(pool: ThreadPoolExecutor, looks: Sequence[Callable[[Shown], object]], pictures: Sequence[Shown]) -> Turn:
    """The models, each in a thread of the pool, share the pictures of a turn."""
    cpu, clock = time.process_time(), time.perf_counter()
    list(pool.map(_look_at_all, looks, [pictures[number :: len(looks)] for number in range(len(looks))]))
    return Turn(len(pictures), time.perf_counter() - clock, time.process_time() - cpu)


def _look_at_all(look: Callable[[Shown], object], pictures: Sequence[Shown]) -> None:
    for picture in pictures:
        look(picture)
