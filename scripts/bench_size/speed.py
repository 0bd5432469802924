"""Latency and throughput of the service beside the bare pose model on the same photographs."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from scripts.bench.process_tree import cpu_seconds
from scripts.bench_size.bare_model import BareModel
from scripts.bench_size.service import Reply
from size_rec.estimator import PROCESSES
from size_rec.measuring_process import NICENESS
from size_rec.mediapipe_service import PoseModel
from size_rec.picture import prepare_picture
from size_rec.pose import RgbArray

CALLERS = 8
WARM_UP = 2 * PROCESSES
"""Photographs for the bare model before it is timed; the service's own model warms itself."""
TURN = 102
"""Photographs in one turn of the service before the bare model has its turn; half of the set. At its beginning and end
fewer callers wait than in between, so short turns would measure that."""
PASSES = 4
"""Over the set; together eight turns of each, as the machine's own speed changes from one to the next."""

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


@dataclass
class Sides:
    """The service; its callers with their photo host (in this process, at the same time, on the same processors: they
    slow the service down by the clock, not by processor time); the bare pose model on the photographs as they come; and
    the service's own pose model alone on the small pictures that the service makes of them."""

    service: Side = field(default_factory=Side)
    callers: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)
    own_model: Side = field(default_factory=Side)


@dataclass(frozen=True)
class Run:
    """What was observed of the running service."""

    one_caller: list[Reply]
    many_callers: list[Reply]
    sides: Sides
    memory_mb: float
    ready_seconds: float


def in_turns(
    ask: Callable[[dict[str, str]], Reply], rows: list[dict[str, str]], folder: Path, service_pid: int
) -> tuple[list[Reply], Sides]:
    """The service at 8 callers and the bare pose model in turns, so that both meet the same load of the machine."""
    sides = Sides()
    replies: list[Reply] = []
    with ThreadPoolExecutor(CALLERS) as callers, ThreadPoolExecutor(PROCESSES, initializer=_step_back) as pool:
        bare = [BareModel() for _ in range(PROCESSES)]
        own = [PoseModel() for _ in range(PROCESSES)]
        _model_turn(pool, [model.look for model in bare], [_decoded(folder, row) for row in rows[:WARM_UP]])
        for start in PASSES * list(range(0, len(rows), TURN)):
            turn = rows[start : start + TURN]
            cpu, own_cpu, clock = cpu_seconds(service_pid), time.process_time(), time.perf_counter()
            replies += callers.map(ask, turn)
            seconds = time.perf_counter() - clock
            sides.service.turns.append(Turn(len(turn), seconds, cpu_seconds(service_pid) - cpu))
            sides.callers.turns.append(Turn(len(turn), seconds, time.process_time() - own_cpu))
            sides.bare.turns.append(
                _model_turn(pool, [model.look for model in bare], [_decoded(folder, row) for row in turn])
            )
            sides.own_model.turns.append(
                _model_turn(pool, [model.find for model in own], [_small(folder, row) for row in turn])
            )
    return replies, sides


def _decoded(folder: Path, row: dict[str, str]) -> RgbArray:
    with Image.open(folder / row["file"]) as photo:
        return np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))


def _small(folder: Path, row: dict[str, str]) -> Image.Image:
    return prepare_picture((folder / row["file"]).read_bytes()).image


def _model_turn(
    pool: ThreadPoolExecutor, looks: Sequence[Callable[[Shown], object]], pictures: Sequence[Shown]
) -> Turn:
    cpu, clock = time.process_time(), time.perf_counter()
    list(pool.map(_look_at_all, looks, [pictures[number::PROCESSES] for number in range(PROCESSES)]))
    return Turn(len(pictures), time.perf_counter() - clock, time.process_time() - cpu)


def _look_at_all(look: Callable[[Shown], object], pictures: Sequence[Shown]) -> None:
    for picture in pictures:
        look(picture)


def _step_back() -> None:
    """The service measures at a lower priority; Linux keeps one for each thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def print_speed(run: Run) -> None:
    """Print latency, throughput and processor time of all sides, memory and start-up time."""
    print(f"\n{'':58}{'P50 ms':>8}{'P95 ms':>8}{'photos/s':>10}{'CPU ms':>8}")
    alone = len(run.one_caller) / sum(reply.seconds for reply in run.one_caller)
    sides = run.sides
    for label, replies, rate, cpu in (
        ("service, 1 caller", run.one_caller, alone, ""),
        (f"service, {CALLERS} callers", run.many_callers, sides.service.per_second, f"{sides.service.cpu_ms:.1f}"),
    ):
        p50, p95 = np.percentile([reply.seconds * 1000 for reply in replies], (50, 95))
        print(f"{label:58}{p50:8.0f}{p95:8.0f}{rate:10.1f}{cpu:>8}")
    print(f"{'callers and photo host':58}{'':>26}{sides.callers.cpu_ms:8.1f}")
    for label, side in (
        ("bare model on the same photographs", sides.bare),
        ("the service's own model on its small pictures", sides.own_model),
    ):
        print(f"{f'{label}, {PROCESSES} at a time':58}{'':>16}{side.per_second:10.1f}{side.cpu_ms:8.1f}")
    by_clock, by_cpu = sides.service.throughput_over(sides.bare), sides.service.work_over(sides.bare)
    print(
        f"throughput over bare inference: {by_clock:.0%} by the clock, {by_cpu:.0%} by processor time "
        f"(over the service's own model {sides.service.throughput_over(sides.own_model):.0%} and "
        f"{sides.service.work_over(sides.own_model):.0%})"
    )
    print(f"memory of the service (PSS) {run.memory_mb:.0f} MB; start to ready {run.ready_seconds:.1f} s")
    failed = sum(reply.status != HTTPStatus.OK for reply in run.many_callers)
    print(
        f"RESULT per_s={sides.service.per_second:.1f} bare_per_s={sides.bare.per_second:.1f} over_bare={by_clock:.2f} "
        f"over_bare_cpu={by_cpu:.2f} ready_s={run.ready_seconds:.1f} pss_mb={run.memory_mb:.0f} failed={failed}"
    )
