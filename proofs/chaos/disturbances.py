"""Injects the faults of a plan into workers and servers while the platform pushes tasks, and starts them again."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import psutil
import redis

from proofs.chaos.api_edge import ApiEdge, EdgeFault
from proofs.chaos.plan import WHOLE_KILLS, ChaosPlan, Outage, OutagePlan, PlannedWorkerFault, WorkerFault
from proofs.chaos.redis_pair import RedisPair
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import StartupFailed
from sandbox.servers.worker import LocalWorker
from sandbox.world import World

IN_FLIGHT_PATTERN: Final = "wearon:tasks:inflight:*"

WORK_WAIT_SECONDS: Final = 4.0
"""How long a fault is delayed until something is in flight; a worker that was just started has taken a task by then."""

POLL_SECONDS: Final = 0.05

RESTART_SECONDS: Final = 0.5
"""Between two tries to start a worker that fails to start because Redis or Supabase is unreachable."""

FROZEN_SECONDS: Final = 5.0
"""Longer than the lease of a run (3 s) and the time the other worker needs to declare it dead."""

CHILD_END_SECONDS: Final = 5.0
"""A Celery process whose main process was killed ends at once."""

STOP_SECONDS: Final = 40.0
"""Above the grace period of a run; a worker that takes longer to stop is killed by any container runtime."""

CELERY_PROCESS: Final = "worker.execution.process"


class FaultInjector:
    """Injects the faults of one run, with a thread for each worker and one for the servers.

    ``violations_seen`` are broken promises that were observed meanwhile. Progress is the share of the worker faults
    that have begun, 0 to 1.
    """

    def __init__(
        self,
        world: World,
        workers: Sequence[LocalWorker],
        plan: ChaosPlan,
        *,
        redis_pair: RedisPair,
        edge: ApiEdge,
        postgres_guard: threading.Lock,
        say: Callable[[str], None],
    ) -> None:
        self._world = world
        self._workers = workers
        self._plan = plan
        self._redis_pair = redis_pair
        self._edge = edge
        self._guard = postgres_guard
        self._say = say
        self._redis = redis.Redis.from_url(redis_pair.url, socket_timeout=1.0)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._begun = 0
        self._total = sum(map(len, plan.worker_faults))
        self.counts: Counter[WorkerFault | Outage | EdgeFault] = Counter()
        self.kills = 0
        self.violations_seen: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(self._inject_into, worker, faults), name=worker.directory.name)
            for worker, faults in zip(workers, plan.worker_faults, strict=True)
        ] + [threading.Thread(target=self._run, args=(self._break_servers,), name="outages")]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def is_running(self) -> bool:
        """Whether faults are still to be injected."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Inject no further fault and start no worker again."""
        self._call_off()
        for thread in self._threads:
            thread.join()

    def wait_for_progress(self, share: float) -> None:
        """Return when this share of the worker faults has begun, or the injection was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._begun >= share * self._total or self._stopping.is_set())

    def revive(self, worker: LocalWorker) -> None:
        """Start a worker that does not run, again and again until it is up, as a container runtime does."""
        while not worker.is_running and not self._stopping.is_set():
            try:
                worker.start()
            except StartupFailed as failure:
                self._say(f"{worker.directory.name} did not start ({failure.reason}); once more")
                time.sleep(RESTART_SECONDS)

    def orderly_stop(self, worker: LocalWorker) -> None:
        """SIGTERM, and the promise that goes with it: it ends by itself, with status 0."""
        self.revive(worker)  # it may just have ended by itself
        worker.terminate()
        try:
            status = worker.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.violations_seen.append(f"{worker.directory.name} did not stop within {STOP_SECONDS:g} s of SIGTERM")
            worker.kill()
        else:
            if status != 0:
                self.violations_seen.append(f"{worker.directory.name} ended with status {status} after SIGTERM")

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.violations_seen.append(
                f"the scenario itself broke in thread {threading.current_thread().name}: {error!r}"
            )
            self._call_off()
            raise

    def _call_off(self) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def _inject_into(self, worker: LocalWorker, faults: Sequence[PlannedWorkerFault]) -> None:
        for planned in faults:
            self.revive(worker)
            with self._changed:
                self._begun += 1
                self._changed.notify_all()
            self._wait_for_work()
            if self._stopping.wait(planned.delay_seconds):
                break
            self._say(f"{worker.directory.name}: {planned.fault}")
            self._inject(worker, planned)
            self.counts[planned.fault] += 1
            self.kills += planned.fault in WHOLE_KILLS
        self.revive(worker)

    def _inject(self, worker: LocalWorker, planned: PlannedWorkerFault) -> None:
        if not worker.is_running:  # it ended by itself, for instance because its executor kept failing
            self.revive(worker)
        match planned.fault:
            case WorkerFault.KILL_TREE:
                worker.kill()
            case WorkerFault.KILL_MAIN:
                self._kill_main(worker)
            case WorkerFault.KILL_AT_START:
                self._kill_at_start(worker, planned.delay_seconds)
            case WorkerFault.KILL_CHILD:
                for child in _celery_children(worker):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            case WorkerFault.FREEZE:
                self._freeze(worker)
            case WorkerFault.TERMINATE:
                self.orderly_stop(worker)

    def _kill_main(self, worker: LocalWorker) -> None:
        children = _celery_children(worker)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(CHILD_END_SECONDS)
        _, alive = psutil.wait_procs(children, CHILD_END_SECONDS)
        for child in alive:
            self.violations_seen.append(f"Celery process {child.pid} outlived its killed main process")
            child.kill()

    def _kill_at_start(self, worker: LocalWorker, delay_seconds: float) -> None:
        worker.kill()
        starting = threading.Thread(target=self._start_once, args=(worker,), name=f"{worker.directory.name}-start")
        starting.start()
        starting.join(delay_seconds)
        if worker.is_running:
            worker.kill()
        starting.join()

    @staticmethod
    def _start_once(worker: LocalWorker) -> None:
        with suppress(StartupFailed):
            worker.start()

    def _freeze(self, worker: LocalWorker) -> None:
        main = psutil.Process(worker.pid)
        frozen = [main, *main.children(recursive=True)]
        for process in frozen:
            process.suspend()
        self._stopping.wait(FROZEN_SECONDS)
        for process in frozen:
            process.resume()

    def _break_servers(self) -> None:
        for number, planned in enumerate(self._plan.outages, start=1):
            self.wait_for_progress(number / (len(self._plan.outages) + 1))
            if self._stopping.is_set():
                return
            self._say(f"{planned.outage} for {planned.seconds:.1f} s")
            self._break_server(planned)
            self.counts[planned.outage] += 1

    def _break_server(self, planned: OutagePlan) -> None:
        match planned.outage:
            case Outage.REDIS_KILLED:
                self._down([self._redis_pair], planned.seconds)
            case Outage.SUPABASE_KILLED:
                self._down([self._world.supabase], planned.seconds)
            case Outage.DATABASE_KILLED:
                # Together: the sandbox's API does not always survive the loss of its database.
                with self._guard:
                    self._down([self._world.postgres, self._world.supabase], planned.seconds)
            case Outage.REDIS_HANGS:
                self._hang(self._redis_pair, planned.seconds)
            case Outage.SUPABASE_HANGS:
                self._hang(self._world.supabase, planned.seconds)
            case Outage.REDIS_FAILS_OVER:
                self._redis_pair.fail_over()
            case EdgeFault() as fault:
                self._edge.fault = fault
                self._stopping.wait(planned.seconds)
                self._edge.fault = None

    def _down(self, servers: Sequence[LocalServer | RedisPair], seconds: float) -> None:
        """Kill the servers, the one that needs the others first; start them in the opposite order."""
        for server in reversed(servers):
            server.kill()
        self._stopping.wait(seconds)
        for server in servers:
            server.start()

    def _hang(self, server: LocalServer | RedisPair, seconds: float) -> None:
        server.pause()
        self._stopping.wait(seconds)
        server.resume()

    def _wait_for_work(self) -> None:
        deadline = time.monotonic() + WORK_WAIT_SECONDS
        while not self._stopping.is_set() and time.monotonic() < deadline and not self._is_anything_in_flight():
            time.sleep(POLL_SECONDS)

    def _is_anything_in_flight(self) -> bool:
        try:
            return next(self._redis.scan_iter(IN_FLIGHT_PATTERN), None) is not None
        except redis.RedisError:
            return False


def _celery_children(worker: LocalWorker) -> list[psutil.Process]:
    """The Celery processes of a worker; none while there is none."""
    try:
        children = psutil.Process(worker.pid).children()
        return [child for child in children if CELERY_PROCESS in child.cmdline()]
    except psutil.NoSuchProcess:
        return []
