"""wearon-worker: takes try-on tasks from Redis, makes the pictures, keeps every credit right.

Composition root (ADR-1): settings, logging and checks first, waiting for what is away; then the HTTP server, the
recovery rounds and the executor (a Celery child with the consumer that feeds it), and a supervisor that looks after
them all.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from config.logging_config import configure_logging, log_standard_error
from config.settings import Settings, SettingsError, load_settings
from models.failures import PlatformFailure
from models.health import Component
from services.fetching.url_guard import TrustedHosts
from services.platform.supabase_client import LEASE_TIMEOUT, SupabaseClient
from services.queue.connection import connect
from services.queue.task_queue import TaskQueue
from services.turns.provider_report import ProviderReport
from size_rec.processes.pool import BodyEstimator
from web.app import create_app
from web.server import HttpServer
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.recovery.reaper import Reaper
from worker.series.build_info import read_build_info
from worker.series.memory_gauge import MemoryGauges
from worker.settlement.settle import Settlement
from worker.supervision.executor import Executor
from worker.supervision.ledger_watch import ledger_watch
from worker.supervision.model_watch import model_watch
from worker.supervision.opening import Opening
from worker.supervision.queue_watch import QueueWatch
from worker.supervision.rounds import UNREACHABLE, Rounds
from worker.supervision.start_checks import Check, StartChecks
from worker.supervision.startup import StartupError, check_database, check_redis, check_settings, check_storage
from worker.supervision.supervisor import EXIT_PART_DIED, EXIT_STOPPED, HEARTBEAT, Part, Supervisor

EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE (sysexits.h): something the worker needs is not there."""

EXIT_MISCONFIGURED: Final = 78
"""EX_CONFIG (sysexits.h)."""

HEARTBEATS_PER_LEASE: Final = 4
"""Three may get lost before the lease runs out. Not fewer: in the database a gap of more than half a lease between two
renewals counts as having been cut off (docs/adr/0005)."""

RECOVERY_RETRY_SECONDS: Final = 5.0
"""FR-3.4: after a round that met Redis or Supabase away."""

HEARTBEAT_RETRY_SECONDS: Final = 1.0
"""After a heartbeat that failed; with its short time limit (LEASE_TIMEOUT) several fit into what is left of a lease."""

LOOK_SECONDS: Final = 0.1
"""How often the main thread looks whether the checks of the start are over."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shared:
    """What every part of the worker is built on."""

    settings: Settings
    store: SupabaseClient
    board: HealthBoard
    opening: Opening
    stop_asked: threading.Event


def main() -> int:
    """Run the worker; returns the exit status."""
    stop_asked = threading.Event()
    # First of all: as process 1 of a container, a SIGTERM without a handler would be lost.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
    try:
        settings = load_settings()
        check_settings(settings)
    except (SettingsError, StartupError) as error:
        print(f"wearon-worker cannot start.\n{error}", file=sys.stderr)  # noqa: T201 - before logging is set up
        return EXIT_MISCONFIGURED
    configure_logging(settings.log_level, settings.secrets)
    store = SupabaseClient(settings.supabase_url, settings.supabase_service_role_key.get_secret_value())
    board = HealthBoard()
    board.starting(value=True)
    shared = Shared(settings, store, board, Opening(board.report), stop_asked)
    checks = StartChecks(checks_of(settings, store), board, shared.opening)
    checks.start()
    # Mostly this takes a tenth of a second, and what is wrong is told to the person who starts it.
    await_checks(checks, stop_asked, until=shared.opening.is_due)
    if stop_asked.is_set():
        return EXIT_STOPPED
    if checks.are_over():
        try:
            checks.raise_error()
        except StartupError as error:
            print(f"wearon-worker cannot start.\n{error}", file=sys.stderr)  # noqa: T201 - for the person, not the log
            return EXIT_UNAVAILABLE
    return run(shared, checks)


def checks_of(settings: Settings, store: SupabaseClient) -> list[Check]:
    """What must be there before the worker starts."""
    return [
        Check(Component.REDIS, lambda: check_redis("REDIS_URL", settings.redis_url)),
        Check(Component.BROKER, lambda: check_redis("CELERY_BROKER_URL", settings.celery_broker_url)),
        Check(Component.DATABASE, lambda: check_database(store)),
        Check(Component.STORAGE, lambda: check_storage(store)),
    ]


def await_checks(checks: StartChecks, stop_asked: threading.Event, until: Callable[[], bool] = lambda: False) -> None:
    """Wait for the end of the checks, a stop, or ``until``; the check itself may hang, so nobody waits in it."""
    while not checks.are_over() and not until():
        if stop_asked.wait(LOOK_SECONDS):
            return


def run(shared: Shared, checks: StartChecks) -> int:
    """Put the parts together and look after them until a stop is asked for."""
    settings, board = shared.settings, shared.board
    registry = CollectorRegistry()
    metrics = metrics_of(settings, board, registry)
    estimator = BodyEstimator()
    app = create_app(
        health=board.report,
        registry=registry,
        estimator=estimator,
        trusted_hosts=TrustedHosts.parse(settings.image_url_trusted_hosts),
    )
    http = HttpServer(app, host=settings.host, port=settings.port, may_open=shared.opening.is_due)

    stderr_reader = log_standard_error()
    http.start()
    estimator.start(
        on_change=lambda loaded: board.part(Component.MODEL, up=loaded, reason="no measuring process is ready")
    )
    try:
        return work(shared, checks, metrics, parts=(http, estimator, stderr_reader))
    except StartupError as error:
        log.critical("cannot_start", words=str(error))
        return EXIT_UNAVAILABLE
    finally:
        # Last of all, so that /health answers as long as there is something to say.
        http.stop()
        estimator.close()


def metrics_of(settings: Settings, board: HealthBoard, registry: CollectorRegistry) -> Metrics:
    """Everything that GET /metrics shows but for HTTP requests and size recommendations (docs/metrics.md)."""
    metrics = Metrics(registry, [model.name for model in settings.image_models])
    metrics.worker.show_parts(board.report)
    metrics.worker.show_build(read_build_info())
    metrics.provider.rate_window_limit.set(settings.openai_requests_per_minute)
    MemoryGauges(registry)
    return metrics


def work(shared: Shared, checks: StartChecks, metrics: Metrics, parts: Sequence[Part]) -> int:
    """Wait for what is away, then take tasks until a stop is asked for.

    Raises:
        StartupError: something is wrong, or was away for too long.
    """
    await_checks(checks, shared.stop_asked, until=lambda: not all(part.is_alive() for part in parts))
    if shared.stop_asked.is_set():
        shared.board.draining()  # so that what ends now is no error line
        log.info("stopped")  # nothing was begun
        return EXIT_STOPPED
    if dead := [part.name for part in parts if not part.is_alive()]:
        log.critical("part_died", part=dead[0])
        return EXIT_PART_DIED
    checks.raise_error()
    supervisor = supervisor_of(shared, metrics)
    rounds = rounds_of(shared, metrics, supervisor)
    for each in rounds:
        each.start()
    log.info("worker_started", port=shared.settings.port, models=shared.settings.openai_image_models)
    try:
        return supervisor.run([*parts, *rounds])
    finally:
        for each in rounds:
            each.stop()


def supervisor_of(shared: Shared, metrics: Metrics) -> Supervisor:
    """Looks after everything; its executors renew their leases over a client of their own, with short time limits."""
    settings, store, board = shared.settings, shared.store, shared.board
    leases = SupabaseClient(
        settings.supabase_url, settings.supabase_service_role_key.get_secret_value(), timeout=LEASE_TIMEOUT
    )
    return Supervisor(
        lambda: Executor(settings, store, board, metrics, leases=leases),
        board=board,
        metrics=metrics,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        hang_grace_seconds=settings.task_limit_seconds,
        lease_seconds=settings.worker_lease_seconds,
        stop_asked=shared.stop_asked,
        opening=shared.opening,
    )


def rounds_of(shared: Shared, metrics: Metrics, supervisor: Supervisor) -> list[Rounds]:
    """What is done again and again."""
    settings, store, board = shared.settings, shared.store, shared.board
    reaper = Reaper(
        settings,
        queue=TaskQueue(connect(settings.redis_url)),
        broker=connect(settings.celery_broker_url),
        store=store,
        settlement=Settlement(store, metrics.record),
        record=metrics.record,
        current_executor=supervisor.executor_id,
    )
    watched_redis = connect(settings.redis_url, timeout_seconds=QueueWatch.TIMEOUT_SECONDS)
    watched_broker = (
        None
        if settings.celery_broker_url == settings.redis_url
        else connect(settings.celery_broker_url, timeout_seconds=QueueWatch.TIMEOUT_SECONDS)
    )
    watch = QueueWatch(
        TaskQueue(watched_redis),
        ProviderReport(watched_redis),
        watched_broker,
        board,
        metrics,
    )
    return [
        Rounds(
            HEARTBEAT,
            settings.worker_lease_seconds / HEARTBEATS_PER_LEASE,
            supervisor.renew_lease,
            expected=(PlatformFailure,),
            retry_seconds=HEARTBEAT_RETRY_SECONDS,
        ),
        Rounds(
            "recovery",
            settings.recovery_interval_seconds,
            reaper.round,
            expected=UNREACHABLE,
            retry_seconds=RECOVERY_RETRY_SECONDS,
        ),
        Rounds("queue-watch", watch.INTERVAL_SECONDS, watch.round, expected=UNREACHABLE),
        model_watch(settings, metrics),
        ledger_watch(settings, metrics),
    ]


def read_command_line() -> None:
    """``--help`` explains the worker instead of starting one; there is nothing else to say on the command line."""
    argparse.ArgumentParser(
        prog="python main.py",
        description="Run the worker until SIGTERM. Settings come from the environment and .env; .env.example explains "
        f"each one. Exit status: {EXIT_STOPPED} stopped as asked, {EXIT_PART_DIED} a part of it died, "
        f"{EXIT_UNAVAILABLE} what it needs is not there, {EXIT_MISCONFIGURED} the settings are not usable.",
    ).parse_args()


if __name__ == "__main__":
    read_command_line()
    sys.exit(main())
