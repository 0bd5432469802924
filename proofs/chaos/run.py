"""One run from start to verdict: the world, two workers, the platform's side, the faults, the drain, the audit."""

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg
import redis
from PIL import Image

from proofs.chaos.api_edge import ApiEdge, EdgeFault
from proofs.chaos.audit import Audit, audit
from proofs.chaos.collect import collect, lost_elements, open_work
from proofs.chaos.disturbances import FaultInjector
from proofs.chaos.evidence import Limits
from proofs.chaos.plan import ChaosPlan, Outage, WorkerFault, make_plan
from proofs.chaos.platform_side import PlatformSide
from proofs.chaos.provider_watch import ProviderWatch
from proofs.chaos.redis_pair import RedisPair
from proofs.chaos.report import call_summary, last_line, write_report
from sandbox.pictures.image_host import ImageHost
from sandbox.platform.producer import Producer
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.worker import LocalWorker
from sandbox.world import World

WORKERS: Final = 2
"""As in every deploy, where the old and the new one overlap."""

PROVIDER_LATENCY: Final = "0.3-3"
"""Seconds; long enough for faults to be injected in the middle of a request."""

MAX_RETRIES: Final = 2
REQUESTS_PER_MINUTE: Final = 150
"""Low enough to be felt: the run wants more at times."""

SETTINGS: Final = {
    "WORKER_CONCURRENCY": "8",
    "WORKER_LEASE_SECONDS": "3",
    "RECOVERY_INTERVAL_SECONDS": "0.5",
    "ORPHAN_GRACE_SECONDS": "5",
    "TASK_LIMIT_SECONDS": "20",
    "SHUTDOWN_GRACE_SECONDS": "25",
    "OPENAI_PAUSE_SECONDS": "1.5",
    "OPENAI_MAX_RETRIES": str(MAX_RETRIES),
    "OPENAI_REQUESTS_PER_MINUTE": str(REQUESTS_PER_MINUTE),
}
"""What takes a minute in production takes seconds here."""

RUNS_PER_SESSION: Final = 3
"""Two attempts (a session whose worker died is run again once), and one more after a rate limit (FR-3.1)."""

MODELS: Final = 2
"""Each has its own retries when the first is gone."""

DRAIN_SECONDS: Final = 120.0
"""How long the system may take to settle everything after the last fault. The backlog takes half a minute, the slowest
session hangs twice for its 20 s, and a dead executor delays its tasks by its lease at most."""

STATUS_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.2

PICTURE_SIZE_PX: Final = (240, 320)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; ``line`` is the last line of its output."""

    audit: Audit
    line: str

    @property
    def is_right(self) -> bool:
        """Whether everything that must be zero is zero."""
        return not self.audit.violations


class HardStop(Exception):
    """The run took longer than it may; raised in the main thread from outside."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a run works with."""

    world: World
    workers: tuple[LocalWorker, ...]
    producer: Producer
    platform: PlatformSide
    injector: FaultInjector
    provider: ProviderWatch
    queue: "redis.Redis"
    redis_pair: RedisPair


def run(directory: Path, *, seed: int, tasks: int, kills: int, keep: bool, say: Callable[[str], None]) -> Outcome:
    """Do a whole run; everything it starts is stopped at the end, whatever happens.

    Args:
        directory: for all data and logs, and ``report.txt``.
        seed: decides everything that is done on purpose; when it happens to the worker stays a matter of chance.
        tasks, kills: how many tasks are pushed and how often a whole worker is killed, at least.
        keep: keep the database of a good run as well.
        say: takes one line of progress.
    """
    plan = make_plan(seed, tasks=tasks, kills=kills, workers=WORKERS)
    world = World.in_directory(directory, latency=PROVIDER_LATENCY, fsync=False)
    with ExitStack() as stack:
        say("starting Redis, Postgres, Supabase and the provider's simulator")
        stack.enter_context(world.running())
        parts = _set_up(stack, directory, world, plan, seed=seed, say=say)
        _inject_faults(parts, plan, say)
        _drain(parts, say)
        parts.platform.push_again_when_done()
        _drain(parts, say)
        outcome = _judge(parts, directory, seed, say)
    if outcome.is_right and not keep:
        world.postgres.wipe()  # run by root, its data lies outside the directory
    return outcome


def _set_up(
    stack: ExitStack, directory: Path, world: World, plan: ChaosPlan, *, seed: int, say: Callable[[str], None]
) -> _Parts:
    pictures = stack.enter_context(ImageHost())
    redis_pair, edge = _fronts(stack, directory, world)
    producer = stack.enter_context(Producer(world.postgres.dsn, redis_pair.url))
    queue = stack.enter_context(redis.Redis.from_url(redis_pair.url))
    postgres_guard = threading.Lock()
    platform = PlatformSide(
        producer,
        pictures,
        _picture(),
        random_source=random.Random(seed),
        postgres_guard=postgres_guard,
        dsn=world.postgres.dsn,
    )
    stack.callback(platform.close)
    settings = world.settings(
        REDIS_URL=redis_pair.url, SUPABASE_URL=edge.url, IMAGE_URL_TRUSTED_HOSTS=LOOPBACK, **SETTINGS
    )
    workers = tuple(world.worker(directory / f"worker-{number}", settings) for number in range(1, WORKERS + 1))
    for worker in workers:
        say(f"starting {worker.directory.name}")
        stack.callback(_end, worker)
        worker.start()
    injector = FaultInjector(
        world, workers, plan, redis_pair=redis_pair, edge=edge, postgres_guard=postgres_guard, say=say
    )
    stack.callback(injector.stop)
    provider = ProviderWatch(world.simulator)
    provider.start()
    stack.callback(provider.stop)
    return _Parts(world, workers, producer, platform, injector, provider, queue, redis_pair)


def _fronts(stack: ExitStack, directory: Path, world: World) -> tuple[RedisPair, ApiEdge]:
    """What the workers talk to: a name for two Redis servers, and a gateway before the Supabase API."""
    redis_pair = RedisPair(world.redis, directory / "redis-replica")
    redis_pair.set_up()
    stack.callback(redis_pair.close)
    edge = ApiEdge(world.supabase.url)
    edge.start()
    stack.callback(edge.stop)
    return redis_pair, edge


def _inject_faults(parts: _Parts, plan: ChaosPlan, say: Callable[[str], None]) -> None:
    """Push everything and inject all faults, at the same time.

    Pushing keeps pace with the faults and is one fault ahead, so that every fault meets running tasks, and no task runs
    without faults to come.
    """
    ahead = 1 / sum(map(len, plan.worker_faults))
    pushing = parts.platform.submit_all(
        plan.tasks, lambda index: parts.injector.wait_for_progress(index / len(plan.tasks) - ahead)
    )
    nights = parts.platform.have_nights(plan.tasks, parts.injector.wait_for_progress)
    parts.injector.start()
    while parts.injector.is_running():
        time.sleep(STATUS_SECONDS)
        say(_status(parts))
    pushing.result()
    nights.result()


def _drain(parts: _Parts, say: Callable[[str], None]) -> None:
    """Wait until nobody waits for anything any more; workers that end by themselves meanwhile are started again."""
    say("waiting for everything to be settled")
    deadline = time.monotonic() + DRAIN_SECONDS
    told_at = time.monotonic()
    while left := open_work(parts.producer, parts.queue):
        if time.monotonic() > deadline:
            parts.injector.violations_seen.append(f"{left} things still open {DRAIN_SECONDS:g} s after the last fault")
            return
        for worker in parts.workers:
            parts.injector.revive(worker)
        if time.monotonic() - told_at > STATUS_SECONDS:
            told_at = time.monotonic()
            say(_status(parts))
        time.sleep(POLL_SECONDS)


def _judge(parts: _Parts, directory: Path, seed: int, say: Callable[[str], None]) -> Outcome:
    say("stopping the workers, then auditing")
    for worker in parts.workers:
        parts.injector.orderly_stop(worker)
    parts.provider.stop()
    injector, platform, provider = parts.injector, parts.platform, parts.provider
    evidence = collect(
        replace(parts.world, redis=parts.redis_pair.primary),
        parts.producer,
        platform.tasks,
        given_up=platform.given_up,
        provider=provider,
        violations_seen=[*injector.violations_seen, *lost_elements(parts.queue, platform.buried)],
    )
    calls_per_session = (
        (RUNS_PER_SESSION + injector.counts[WorkerFault.TERMINATE]) * (1 + MAX_RETRIES) * MODELS
    )  # a run that is given back at SIGTERM does not count as an attempt
    verdict = audit(evidence, Limits(calls_per_session, REQUESTS_PER_MINUTE))
    line = last_line(verdict, kills=injector.kills, redis_restarts=injector.counts[Outage.REDIS_KILLED], seed=seed)
    summary = [
        "faults injected: " + _counted(injector.counts),
        call_summary(evidence, limit=calls_per_session, unattributed=provider.unattributed),
        f"ended by the platform's own job: {len(platform.timed_out)}",
    ]
    for text in summary:
        say(text)
    write_report(
        directory / "report.txt",
        head=[line, *summary],
        violations=verdict.violations,
        logs={worker.directory.name: worker.log_path for worker in parts.workers},
    )
    return Outcome(verdict, line)


def _counted(counts: "Counter[WorkerFault | Outage | EdgeFault]") -> str:
    return ", ".join(f"{what} {count}x" for what, count in sorted(counts.items()))


def _status(parts: _Parts) -> str:
    pushed = len(parts.platform.tasks)
    try:
        waiting = f"{open_work(parts.producer, parts.queue)} things open"
    except (psycopg.OperationalError, redis.RedisError):
        waiting = "something is down"
    return f"{pushed} sessions, {waiting}; whole workers killed {parts.injector.kills}x"


def _end(worker: LocalWorker) -> None:
    if worker.is_running:
        worker.kill()


def _picture() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(PICTURE_SIZE_PX).convert("RGB").save(file, "JPEG")
    return file.getvalue()
