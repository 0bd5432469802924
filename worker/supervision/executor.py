"""One executor, seen from the main process: a Celery child, the consumer that feeds it, and their common end.

Whatever ends an executor (a stop, a crash, a hang, a lost lease), the same steps follow: the child is killed, the
database is told, and everything in flight goes back to the queue. Then another executor with a new id may start.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

import redis
import structlog

from config.settings import Settings
from models.failures import PlatformFailure
from models.health import Component
from services.child_process import KILL_WAIT_SECONDS, ChildProcess
from services.platform.supabase_client import SupabaseClient
from services.queue.connection import BLOCKING_SOCKET_TIMEOUT_SECONDS, connect, prove_writable
from services.queue.task_queue import TaskQueue
from worker.celery_app import create_celery_app, forget
from worker.executor_state import ExecutorState
from worker.health import HealthBoard
from worker.intake.consumer import Consumer
from worker.intake.dispatches import DispatchLedger
from worker.intake.publishing import Publisher
from worker.intake.stop import IntakeStop
from worker.link import (
    EXECUTOR_VARIABLE,
    DeclaredDead,
    Event,
    ExecutorReady,
    IntakeHeld,
    ParentEnd,
    PartSeen,
    RunBroke,
    RunFinished,
    RunPostponed,
    RunReturned,
    RunStarted,
)
from worker.metrics import Metrics
from worker.queue_elements import TRANSFER_LIMITS
from worker.samples import ErrorUnforeseen, TasksRecovered
from worker.settlement.settle import Settlement
from worker.supervision.child_process import hand_over, log_stderr
from worker.supervision.database_watch import Asker, DatabaseWatch
from worker.supervision.hang import HANG_SECONDS, hangs, unexplained_since

log = structlog.get_logger()

READY_SECONDS: Final = 60.0
"""A child that is not ready after this is replaced. Importing and connecting take 2 s on an idle core."""

MALLOC_ARENAS: Final = "2"
"""glibc keeps up to 8 heaps per core for many threads and returns little of them; two save some 100 MB at 150 tasks."""

IDLE_EXIT_SECONDS: Final = 15.0
"""Celery without running tasks exits within 2 s of SIGTERM; a hung one never does."""

EXIT_POLL_SECONDS: Final = 0.1

EXIT_NOTICE_SECONDS: Final = 1.0
"""Longest time from the end of a child's output until the system reports its exit; usually milliseconds."""


class Executor:
    """A Celery child and its consumer, under one id for their whole life.

    Args:
        settings: of the worker; the child is handed the same.
        store: the platform, for settling bad elements.
        leases: the same with a short time limit, for heartbeats.
        board: told the result of every contact with Redis.
        metrics: takes the child's measurements.
        hang_seconds, idle_exit_seconds, exit_notice_seconds: other values in tests only.
    """

    def __init__(
        self,
        settings: Settings,
        store: SupabaseClient,
        board: HealthBoard,
        metrics: Metrics,
        *,
        leases: SupabaseClient,
        hang_seconds: float = HANG_SECONDS,
        idle_exit_seconds: float = IDLE_EXIT_SECONDS,
        exit_notice_seconds: float = EXIT_NOTICE_SECONDS,
    ) -> None:
        self.executor_id: UUID = uuid4()
        self._settings = settings
        self._leases = leases
        self._board = board
        self._metrics = metrics
        self._hang_seconds = hang_seconds
        self._idle_exit_seconds = idle_exit_seconds
        self._exit_notice_seconds = exit_notice_seconds
        self._queue_connection = connect(settings.redis_url)
        self._queue = TaskQueue(self._queue_connection)
        self._blocking_connection = connect(
            settings.redis_url,
            timeout_seconds=BLOCKING_SOCKET_TIMEOUT_SECONDS,
            reply_limit_bytes=TRANSFER_LIMITS.whole_bytes,
        )
        self._broker = connect(settings.celery_broker_url)
        self._publisher = Publisher(create_celery_app(settings, self.executor_id))
        self._dispatcher = DispatchLedger(useful_concurrency(settings))
        self._database = DatabaseWatch(board)
        self._intake = IntakeStop(pause_seconds=settings.platform_pause_seconds)
        self._consumer = Consumer(
            executor=self.executor_id,
            queue=TaskQueue(self._blocking_connection),
            publisher=self._publisher,
            dispatcher=self._dispatcher,
            settlement=Settlement(store, metrics.record),
            record=metrics.record,
            board=board,
            intake=self._intake,
        )
        self._consumer_thread = threading.Thread(target=self._consumer.run, name="consumer", daemon=True)
        self._child: ChildProcess | None = None
        self._link: ParentEnd | None = None
        self._readers: dict[ExecutorState, threading.Thread] = {}
        self._ready = threading.Event()
        self._declared_dead = threading.Event()
        self._started_at = time.monotonic()
        self._unexplained_since: float | None = None

    @property
    def name(self) -> str:
        """The id as it is written to the database and into key names."""
        return str(self.executor_id)

    def start(self) -> None:
        """Register, so that others can recover what will be taken; then start the child.

        Raises:
            RedisError, PlatformFailure: not registered; nothing was started.
        """
        # The lease first: registered in Redis without one, it would look dead to other workers.
        self.renew_lease()
        self._queue.register(self.executor_id)
        self._board.part(Component.STORAGE, up=True)  # if it still refuses, the new child finds out, too
        self._started_at = time.monotonic()
        arenas = os.environ.get("MALLOC_ARENA_MAX", MALLOC_ARENAS)
        self._child = ChildProcess(
            "worker.execution.process", {"MALLOC_ARENA_MAX": arenas, EXECUTOR_VARIABLE: self.name}, piped=True
        )
        hand_over(self._child, self._settings)
        self._link = ParentEnd(self._child.link)
        self._readers = {
            ExecutorState.LINK_DIED: threading.Thread(
                target=self._link.listen, args=(self._receive, self._count_dropped), name="link", daemon=True
            ),
            ExecutorState.STDERR_UNREAD: threading.Thread(
                target=log_stderr, args=(self._child,), name="celery-stderr", daemon=True
            ),
        }
        for reader in self._readers.values():
            reader.start()
        log.info("executor_started", executor=self.name, pid=self._child.pid)

    def renew_lease(self) -> None:
        """Renew the lease in the database.

        Raises:
            PlatformFailure: the database did not renew it.
        """
        try:
            alive = self._leases.heartbeat(
                self.executor_id, host=socket.gethostname(), lease_seconds=self._settings.worker_lease_seconds
            )
        except PlatformFailure as failure:
            self._database.fails(Asker.HEARTBEAT, str(failure))
            raise
        self._database.answers(Asker.HEARTBEAT)
        if not alive:
            self._declared_dead.set()

    def state(self) -> ExecutorState:
        """The current state; cheap, because it is asked twice a second."""
        if self._declared_dead.is_set():
            return ExecutorState.DECLARED_DEAD
        if self._child is None or self._child.has_ended():
            return ExecutorState.CHILD_DIED
        if (unread := self._unread()) is not None:
            # A child that is ending closes its side a moment before it is gone.
            return ExecutorState.CHILD_DIED if self._child.ends_within(self._exit_notice_seconds) else unread
        if not self._ready.is_set():
            late = time.monotonic() - self._started_at > READY_SECONDS and self._broker_serves()
            return ExecutorState.NEVER_READY if late else ExecutorState.STARTING
        if not self._consumer_thread.is_alive():
            return ExecutorState.CONSUMER_DIED
        self._consumer.wake()
        return ExecutorState.HUNG if self._hangs() else ExecutorState.RUNNING

    def running(self) -> int:
        """Number of tasks that a pool thread works on."""
        return self._dispatcher.running()

    def in_flight(self) -> int:
        """Number of tasks taken and not finished."""
        return self._dispatcher.count()

    def stop_taking(self) -> None:
        """Take no more tasks; running ones go on."""
        self._consumer.stop()
        # Ends a pop that blocks. An element that it moves at this moment is in flight, and handed back with the rest.
        self._blocking_connection.connection_pool.disconnect()

    def stop(self, latest_end: Callable[[], float]) -> None:
        """Let running tasks finish, and end the executor at the latest at the deadline.

        Args:
            latest_end: the deadline in monotonic time; asked repeatedly, because it may become earlier.
        """
        self.stop_taking()
        if self._child is not None and not self._child.has_ended():
            self._child.terminate()
            self._wait_for_running_tasks(self._child, latest_end)
        self.end()

    def _wait_for_running_tasks(self, child: ChildProcess, latest_end: Callable[[], float]) -> None:
        last_seen_busy_at = time.monotonic()
        while not child.has_ended():
            now = time.monotonic()
            if self.running() or self._unread() is not None:  # without its reports, it cannot be known to be idle
                last_seen_busy_at = now
            if now > latest_end():
                log.warning("grace_period_over", executor=self.name, running=self.running())
                return
            if now - last_seen_busy_at > self._idle_exit_seconds:
                log.warning("idle_child_does_not_exit", executor=self.name)
                return
            time.sleep(EXIT_POLL_SECONDS)

    def end(self) -> None:
        """End the executor at once and give back everything it has in flight."""
        self.stop_taking()
        if self._child is not None:
            self._child.kill_and_wait()
        if self._link is not None:
            self._link.close()
        if self._consumer_thread.ident is not None:
            self._consumer_thread.join(KILL_WAIT_SECONDS)
        self._consumer.close()
        try:
            self._leases.retire(self.executor_id)
            handed_back = self._queue.hand_back(self.executor_id)
            if not self._consumer_thread.is_alive():
                forget(self._queue, self._broker, self.executor_id)
        except (PlatformFailure, redis.RedisError) as error:
            # When its lease runs out, another worker's recovery does the same.
            log.warning("executor_left_to_recovery", executor=self.name, reason=type(error).__name__, detail=str(error))
        else:
            self._metrics.record(TasksRecovered("handed_back", handed_back))
            log.info("executor_ended", executor=self.name, handed_back=handed_back)
        self._publisher.close()
        for client in (self._queue_connection, self._blocking_connection, self._broker):
            client.close()

    def _receive(self, event: Event) -> None:
        match event:
            case ExecutorReady():
                log.info("executor_ready", executor=self.name, seconds=round(time.monotonic() - self._started_at, 1))
                self._consumer_thread.start()
                self._ready.set()
            case DeclaredDead():
                self._declared_dead.set()
            case PartSeen() | IntakeHeld():
                self._take_note(event)
            case RunReturned() | RunBroke():
                self._dispatcher.receive(event)
                self._consumer.wake()
            case RunStarted() | RunFinished() | RunPostponed():
                self._dispatcher.receive(event)
            case _:
                self._metrics.record(event)

    def _count_dropped(self) -> None:
        self._metrics.record(ErrorUnforeseen("link"))

    def _unread(self) -> ExecutorState | None:
        """The state for a reader thread of the child's output that has ended, if one has."""
        return next((state for state, reader in self._readers.items() if not reader.is_alive()), None)

    def _take_note(self, seen: PartSeen | IntakeHeld) -> None:
        """Record whether Storage and the database serve the Celery process."""
        match seen:
            case IntakeHeld(reason):
                self._intake.tasks(fail_in_a_row=bool(reason))
                self._tell_of_database(Asker.BURIALS, up=not reason, reason=reason)
            case PartSeen(Component.DATABASE, up, reason):
                self._tell_of_database(Asker.RUNS, up=up, reason=reason)
            case PartSeen(component, up, reason):
                if component is Component.STORAGE:
                    self._intake.storage(takes_pictures=up)
                self._board.part(component, up=up, reason=reason)

    def _tell_of_database(self, asker: Asker, *, up: bool, reason: str) -> None:
        if up:
            self._database.answers(asker)
        else:
            self._database.fails(asker, reason)

    def _hangs(self) -> bool:
        overdue = self._dispatcher.overdue_seconds() >= self._hang_seconds
        serves = overdue and self._broker_serves()
        now = time.monotonic()
        self._unexplained_since = unexplained_since(
            overdue=overdue, broker_serves=serves, since=self._unexplained_since, now=now
        )
        return hangs(self._unexplained_since, now, self._hang_seconds)

    def _broker_serves(self) -> bool:
        try:
            prove_writable(self._broker)
        except redis.RedisError:
            return False
        return True


def useful_concurrency(settings: Settings) -> int:
    """How many tasks to hold at once: one per thread, but at most as many as may be sent to the provider in a minute.

    More would only wait here for their turn, where no other worker can take them.
    """
    return min(settings.worker_concurrency, settings.openai_requests_per_minute)
