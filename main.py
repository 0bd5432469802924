"""wearon-worker: takes try-on tasks from Redis, makes the pictures, keeps every credit right.

Composition root (ADR-1): settings, logging and checks first; then the HTTP server, the recovery rounds and the
executor (a Celery child with the consumer that feeds it), and a supervisor that looks after them all.
"""

import signal
import sys
import threading
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from config.logging_config import configure_logging, log_standard_error
from config.settings import Settings, SettingsError, load_settings
from models.failures import PlatformFailure
from models.health import Component
from services.redis_client import connect
from services.supabase_client import LEASE_TIMEOUT, SupabaseClient
from services.task_queue import TaskQueue
from services.url_guard import TrustedHosts
from size_rec.app import create_app
from size_rec.estimator import BodyEstimator
from worker.executor import Executor
from worker.health import HealthBoard
from worker.http_server import HttpServer
from worker.metrics import Metrics
from worker.queue_watch import QueueWatch
from worker.reaper import Reaper
from worker.rounds import AWAY, Rounds
from worker.settlement import Settlement
from worker.startup import StartupError, check_database, check_redis, check_settings, check_storage
from worker.supervisor import HEARTBEAT, Supervisor

EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE (sysexits.h): something the worker needs is not there."""

EXIT_MISCONFIGURED: Final = 78
"""EX_CONFIG (sysexits.h)."""

HEARTBEATS_PER_LEASE: Final = 4
"""Three may get lost before the lease runs out. Not fewer: in the database a gap of more than half a lease between two
renewals counts as having been cut off (docs/adr/0005)."""

HEARTBEAT_RETRY_SECONDS: Final = 1.0
"""After a heartbeat that failed; with its short time limit (LEASE_TIMEOUT) several fit into what is left of a lease."""

log = structlog.get_logger()


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
    try:
        check_redis("REDIS_URL", settings.redis_url)
        check_redis("CELERY_BROKER_URL", settings.celery_broker_url)
        check_database(store)
        check_storage(store)
    except StartupError as error:
        print(f"wearon-worker cannot start.\n{error}", file=sys.stderr)  # noqa: T201 - for the person, not the log
        return EXIT_UNAVAILABLE
    log_standard_error()
    return run(settings, store, stop_asked)


def run(settings: Settings, store: SupabaseClient, stop_asked: threading.Event) -> int:
    """Put the parts together and look after them until ``stop_asked``."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    board = HealthBoard()
    metrics.show_parts(board.report)
    queue = TaskQueue(connect(settings.redis_url))
    leases = SupabaseClient(
        settings.supabase_url, settings.supabase_service_role_key.get_secret_value(), timeout=LEASE_TIMEOUT
    )
    supervisor = Supervisor(
        lambda: Executor(settings, store, board, metrics, leases=leases),
        board=board,
        metrics=metrics,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        hang_grace_seconds=settings.task_limit_seconds,
        lease_seconds=settings.worker_lease_seconds,
        stop_asked=stop_asked,
    )
    reaper = Reaper(
        settings,
        queue=queue,
        broker=connect(settings.celery_broker_url),
        store=store,
        settlement=Settlement(store, metrics.measure),
        measure=metrics.measure,
        current_executor=supervisor.executor_id,
    )
    watched_queue = TaskQueue(connect(settings.redis_url, timeout_seconds=QueueWatch.TIMEOUT_SECONDS))
    watched_broker = (
        None
        if settings.celery_broker_url == settings.redis_url
        else connect(settings.celery_broker_url, timeout_seconds=QueueWatch.TIMEOUT_SECONDS)
    )
    watch = QueueWatch(watched_queue, watched_broker, board, metrics)
    estimator = BodyEstimator()
    app = create_app(
        health=board.report,
        registry=registry,
        estimator=estimator,
        trusted_hosts=TrustedHosts.parse(settings.image_url_trusted_hosts),
    )
    http = HttpServer(app, host=settings.host, port=settings.port)
    lease_rounds = settings.worker_lease_seconds / HEARTBEATS_PER_LEASE
    rounds = [
        Rounds(
            HEARTBEAT,
            lease_rounds,
            supervisor.renew_lease,
            expected=(PlatformFailure,),
            retry_seconds=HEARTBEAT_RETRY_SECONDS,
        ),
        Rounds("recovery", settings.recovery_interval_seconds, reaper.round, expected=AWAY),
        Rounds("queue-watch", watch.INTERVAL_SECONDS, watch.round, expected=AWAY),
    ]

    http.start()
    estimator.start(
        on_change=lambda loaded: board.part(Component.MODEL, up=loaded, reason="no measuring process is ready")
    )
    for each in rounds:
        each.start()
    log.info("worker_started", port=settings.port, models=settings.openai_image_models)
    status = supervisor.run([http, *rounds])
    for each in rounds:
        each.stop()
    http.stop()
    estimator.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
