"""Latency and throughput of the service beside the bare pose model on the same photographs."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageOps

from scripts.bench_size.service import Reply
from size_rec.estimator import WORKERS, step_back
from size_rec.mediapipe_service import PoseModel
from size_rec.picture import prepare_picture
from size_rec.pose import RgbArray

CALLERS = 8
TURN = 102
"""Photographs in one turn of the service before the bare model has its turn; half of the set. At its beginning and end
fewer callers wait than in between, so short turns would measure that."""
PASSES = 2
"""Over the set; together four turns of each, as the machine's own speed changes from one to the next."""


@dataclass
class Side:
    """What one side of the comparison has done so far: pictures, seconds on the clock, seconds of processor."""

    pictures: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, pictures: int, seconds: float, cpu_seconds: float) -> None:
        """One more turn."""
        self.pictures += pictures
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds

    @property
    def per_second(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor for one picture."""
        return 1000 * self.cpu_seconds / self.pictures


@dataclass
class Turns:
    """The sides of the comparison: the service; its callers with their photo host (in this process, at the same time,
    on the same processors: they slow the service down by the clock, not by processor time); the bare pose model on the
    photographs as they come, and on the small pictures that the service makes of them."""

    service: Side = field(default_factory=Side)
    callers: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)
    bare_on_small: Side = field(default_factory=Side)


@dataclass(frozen=True)
class Run:
    """What was observed of the running service."""

    one_caller: list[Reply]
    many_callers: list[Reply]
    turns: "Turns"
    memory_mb: float
    ready_seconds: float


def in_turns(
    ask: Callable[[dict[str, str]], Reply], rows: list[dict[str, str]], folder: Path, process: psutil.Process
) -> tuple[list[Reply], Turns]:
    """The service at 8 callers and the bare pose model in turns, so that both meet the same load of the machine."""
    turns = Turns()
    replies: list[Reply] = []
    with ThreadPoolExecutor(CALLERS) as callers, ThreadPoolExecutor(WORKERS, initializer=step_back) as pool:
        models = list(pool.map(_warm_model, [_decoded(folder, rows[0])] * WORKERS))
        for start in PASSES * list(range(0, len(rows), TURN)):
            turn = rows[start : start + TURN]
            cpu, own_cpu, clock = _cpu_seconds(process), time.process_time(), time.perf_counter()
            replies += callers.map(ask, turn)
            seconds = time.perf_counter() - clock
            turns.service.add(len(turn), seconds, _cpu_seconds(process) - cpu)
            turns.callers.add(len(turn), seconds, time.process_time() - own_cpu)
            _bare_turn(turns.bare, pool, models, [_decoded(folder, row) for row in turn])
            _bare_turn(turns.bare_on_small, pool, models, [_small(folder, row) for row in turn])
    return replies, turns


def _decoded(folder: Path, row: dict[str, str]) -> RgbArray:
    with Image.open(folder / row["file"]) as photo:
        return np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))


def _small(folder: Path, row: dict[str, str]) -> RgbArray:
    return prepare_picture((folder / row["file"]).read_bytes()).rgb


def _bare_turn(side: Side, pool: ThreadPoolExecutor, models: list[PoseModel], pictures: list[RgbArray]) -> None:
    cpu, clock = time.process_time(), time.perf_counter()
    list(pool.map(_find_all, models, [pictures[number::WORKERS] for number in range(WORKERS)]))
    side.add(len(pictures), time.perf_counter() - clock, time.process_time() - cpu)


def _warm_model(picture: RgbArray) -> PoseModel:
    """Loaded in the thread that stepped back: the model's own threads inherit its priority, as in the service."""
    model = PoseModel()
    model.find(picture)
    return model


def _find_all(model: PoseModel, pictures: list[RgbArray]) -> None:
    for picture in pictures:
        model.find(picture)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def print_speed(run: Run) -> None:
    """Print latency, throughput and processor time of all sides, memory and start-up time."""
    print(f"\n{'':44}{'P50 ms':>8}{'P95 ms':>8}{'photos/s':>10}{'CPU ms':>8}")
    alone = len(run.one_caller) / sum(reply.seconds for reply in run.one_caller)
    service, bare, small = run.turns.service, run.turns.bare, run.turns.bare_on_small
    for label, replies, rate, cpu in (
        ("service, 1 caller", run.one_caller, alone, ""),
        (f"service, {CALLERS} callers", run.many_callers, service.per_second, f"{service.cpu_ms:.1f}"),
    ):
        p50, p95 = np.percentile([reply.seconds * 1000 for reply in replies], (50, 95))
        print(f"{label:44}{p50:8.0f}{p95:8.0f}{rate:10.1f}{cpu:>8}")
    print(f"{'callers and photo host':44}{'':>26}{run.turns.callers.cpu_ms:8.1f}")
    for label, side in (("the same photographs", bare), ("the small pictures", small)):
        print(f"{f'bare model on {label}, {WORKERS} at a time':44}{'':>16}{side.per_second:10.1f}{side.cpu_ms:8.1f}")
    by_clock, by_cpu = service.per_second / bare.per_second, bare.cpu_ms / service.cpu_ms
    print(
        f"throughput over bare inference: {by_clock:.0%} by the clock, {by_cpu:.0%} by processor time "
        f"(over bare inference on the small pictures {service.per_second / small.per_second:.0%} and "
        f"{small.cpu_ms / service.cpu_ms:.0%})"
    )
    print(f"memory of the service (PSS) {run.memory_mb:.0f} MB; start to ready {run.ready_seconds:.1f} s")
    failed = sum(reply.status != HTTPStatus.OK for reply in run.many_callers)
    print(
        f"RESULT per_s={service.per_second:.1f} bare_per_s={bare.per_second:.1f} over_bare={by_clock:.2f} "
        f"over_bare_cpu={by_cpu:.2f} ready_s={run.ready_seconds:.1f} pss_mb={run.memory_mb:.0f} failed={failed}"
    )
