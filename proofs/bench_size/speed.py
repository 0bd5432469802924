"""Latency and throughput of the service beside the bare pose model on the same photographs."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import numpy as np

from proofs.bench.process_tree import cpu_seconds
from proofs.bench_size.bare_reference import LEFT_OUT, bare_reference
from proofs.bench_size.service import Reply
from proofs.bench_size.turns import Side, Turn, model_turn, threads_at_priority
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.processes.pool import PROCESSES
from size_rec.processes.process import NICENESS

CALLERS = 8
WARM_UP = 2 * PROCESSES
"""Photographs for the bare model before it is timed; the service's own model warms itself."""
TURN = 102
"""Photographs in one turn of the service before the bare model has its turn; half of the set. At its beginning and end
fewer callers wait than in between, so short turns would measure that."""
PASSES = 4
"""Over the set; together eight turns of each, as the machine's own speed changes from one to the next."""


@dataclass
class Sides:
    """The service; its callers with their photo host (in this process, at the same time, on the same processors: they
    slow the service down by the clock, not by processor time); the bare pose model on the photographs as they come,
    where its environment was made; and the service's own pose model alone on the small pictures that the service makes
    of them; and the base build's service, if one is measured."""

    service: Side = field(default_factory=Side)
    base: Side = field(default_factory=Side)
    callers: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)
    own_model: Side = field(default_factory=Side)


@dataclass
class BaseService:
    """The running service of the base build: how to ask it, its process, its replies to the many callers."""

    name: str
    ask: Callable[[dict[str, str]], Reply]
    pid: int
    many_callers: list[Reply] = field(default_factory=list)
    memory_mb: float = 0.0


@dataclass(frozen=True)
class Run:
    """What was observed of the running service, and of the base's beside it."""

    one_caller: list[Reply]
    many_callers: list[Reply]
    sides: Sides
    memory_mb: float
    ready_seconds: float
    base: BaseService | None = None


def in_turns(
    ask: Callable[[dict[str, str]], Reply],
    rows: list[dict[str, str]],
    folder: Path,
    service_pid: int,
    base: BaseService | None = None,
) -> tuple[list[Reply], Sides]:
    """The service at 8 callers, the base's, and the bare pose model in turns, so that all meet the same load of the
    machine."""
    sides = Sides()
    replies: list[Reply] = []
    with (
        ThreadPoolExecutor(CALLERS) as callers,
        threads_at_priority(PROCESSES, NICENESS) as pool,
        bare_reference(PROCESSES, NICENESS) as bare,
    ):
        own = [PoseModel() for _ in range(PROCESSES)]
        if bare:
            bare.turn(_photographs(folder, rows[:WARM_UP]))
        for number, start in enumerate(PASSES * list(range(0, len(rows), TURN))):
            turn = rows[start : start + TURN]
            if base and number % 2:
                _base_turn(callers, base, turn, sides)
            own_cpu = time.process_time()
            told, timed = _service_turn(callers, ask, turn, service_pid)
            replies += told
            sides.service.turns.append(timed)
            sides.callers.turns.append(Turn(len(turn), timed.seconds, time.process_time() - own_cpu))
            if base and not number % 2:
                _base_turn(callers, base, turn, sides)
            if bare:
                sides.bare.turns.append(bare.turn(_photographs(folder, turn)))
            small = [prepare_picture(path.read_bytes()).image for path in _photographs(folder, turn)]
            sides.own_model.turns.append(model_turn(pool, [model.find for model in own], small))
    return replies, sides


def _service_turn(
    callers: ThreadPoolExecutor, ask: Callable[[dict[str, str]], Reply], turn: list[dict[str, str]], pid: int
) -> tuple[list[Reply], Turn]:
    cpu, clock = cpu_seconds(pid), time.perf_counter()
    replies = list(callers.map(ask, turn))
    seconds = time.perf_counter() - clock
    return replies, Turn(len(turn), seconds, cpu_seconds(pid) - cpu)


def _base_turn(callers: ThreadPoolExecutor, base: BaseService, turn: list[dict[str, str]], sides: Sides) -> None:
    """Before ours and after it by turns: what comes first may meet another machine."""
    told, timed = _service_turn(callers, base.ask, turn, base.pid)
    base.many_callers += told
    sides.base.turns.append(timed)


def _photographs(folder: Path, rows: list[dict[str, str]]) -> list[Path]:
    return [folder / row["file"] for row in rows]


def print_speed(run: Run) -> None:
    """Print latency, throughput and processor time of all sides, memory and start-up time."""
    print(f"\n{'':58}{'P50 ms':>8}{'P95 ms':>8}{'photos/s':>10}{'CPU ms':>8}")
    alone = len(run.one_caller) / sum(reply.seconds for reply in run.one_caller)
    sides = run.sides
    lines = [
        ("service, 1 caller", run.one_caller, alone, ""),
        (f"service, {CALLERS} callers", run.many_callers, sides.service.per_second, f"{sides.service.cpu_ms:.1f}"),
    ]
    if run.base:
        label = f"service of {run.base.name}, {CALLERS} callers"
        lines.append((label, run.base.many_callers, sides.base.per_second, f"{sides.base.cpu_ms:.1f}"))
    for label, replies, rate, cpu in lines:
        p50, p95 = np.percentile([reply.seconds * 1000 for reply in replies], (50, 95))
        print(f"{label:58}{p50:8.0f}{p95:8.0f}{rate:10.1f}{cpu:>8}")
    print(f"{'callers and photo host':58}{'':>26}{sides.callers.cpu_ms:8.1f}")
    for label, side in (
        ("bare model on the same photographs", sides.bare),
        ("the service's own model on its small pictures", sides.own_model),
    ):
        if side.turns:
            print(f"{f'{label}, {PROCESSES} at a time':58}{'':>16}{side.per_second:10.1f}{side.cpu_ms:8.1f}")
    for label, side in (("bare inference", sides.bare), ("the service's own model", sides.own_model)):
        if side.turns:
            by_clock, by_cpu = sides.service.throughput_over(side), sides.service.work_over(side)
            print(f"throughput over {label}: {by_clock:.0%} by the clock, {by_cpu:.0%} by processor time")
    if run.base:
        by_clock, by_cpu = sides.service.throughput_over(sides.base), sides.service.work_over(sides.base)
        memory = f"{run.memory_mb:.0f} MB beside {run.base.memory_mb:.0f}"
        print(f"throughput over {run.base.name}: {by_clock:.2f} by the clock, {by_cpu:.2f} by processor time; {memory}")
    if not sides.bare.turns:
        print(LEFT_OUT)
    print(f"memory of the service (PSS) {run.memory_mb:.0f} MB; start to ready {run.ready_seconds:.1f} s")
    failed = sum(reply.status != HTTPStatus.OK for reply in run.many_callers)
    print(
        f"RESULT per_s={sides.service.per_second:.1f} {_over_bare(sides)}"
        f"ready_s={run.ready_seconds:.1f} pss_mb={run.memory_mb:.0f} failed={failed}"
    )


def _over_bare(sides: Sides) -> str:
    if not sides.bare.turns:
        return ""
    by_clock, by_cpu = sides.service.throughput_over(sides.bare), sides.service.work_over(sides.bare)
    return f"bare_per_s={sides.bare.per_second:.1f} over_bare={by_clock:.2f} over_bare_cpu={by_cpu:.2f} "
