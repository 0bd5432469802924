"""Celery's configuration; each setting that is not a default has its reason beside it."""

from typing import Final
from uuid import UUID

import redis
from celery import Celery, signals
from kombu import Exchange, Queue

from config.settings import Settings
from services.queue.broker_transport import TRANSPORT, Amqp
from services.queue.connection import CONNECT_TIMEOUT_SECONDS, broker_ssl_options
from services.queue.task_queue import TaskQueue
from worker.celery_events import DiscreetEvents

TASK_NAME: Final = "wearon.generate"

QUEUE_PREFIX: Final = "wearon.generation."
"""Each executor has a queue of its own: Celery runs only what this worker's consumer took, so its in-flight list,
its back-pressure and its recovery speak of the same tasks, and two versions in a deploy do not mix (ADR 0004)."""

VISIBILITY_TIMEOUT_SECONDS: Final = 3_600
"""When Celery delivers an unacknowledged message again. Recovery does not depend on it (it works from the in-flight
copies within a minute), so it only has to be longer than any task: the wait for a turn, the 300 s limit, the retry
after 10 s. A delivery that comes again all the same is recognised by its id (worker/execution/tasks.py)."""

BROKER_SOCKET_TIMEOUT_SECONDS: Final = 30.0
"""Above the 1 s that Celery's own pop blocks; a broker that hangs is noticed after this."""


def queue_name(executor: UUID) -> str:
    """The Celery queue of one executor."""
    return f"{QUEUE_PREFIX}{executor}"


def broker_keys(executor: UUID) -> tuple[str, ...]:
    """Every Redis key that an executor's queue leaves in the broker, to be deleted once it is dead."""
    name = queue_name(executor)
    return (name, f"_kombu.binding.{name}", *_unacked_keys(executor).values())


def forget(queue: TaskQueue, broker: "redis.Redis", executor: UUID) -> None:
    """Clear what a dead executor left in the broker and take its emptied in-flight list off the record."""
    broker.delete(*broker_keys(executor))
    queue.forget(executor)


def create_celery_app(settings: Settings, executor: UUID) -> Celery:
    """The Celery application of one executor: the main process publishes with it, the child runs with it."""
    name = queue_name(executor)
    app = Celery(
        "wearon-worker", broker=settings.celery_broker_url, amqp=Amqp, events=DiscreetEvents, set_as_current=False
    )
    app.conf.update(
        task_queues=[Queue(name, Exchange(name), routing_key=name)],
        task_default_queue=name,
        task_default_exchange=name,
        task_default_routing_key=name,
        # A broker that fails over or is full is waited for; to kombu's own transport it is the end.
        broker_transport=TRANSPORT,
        # rediss:// in kombu verifies nothing unless told to.
        broker_use_ssl=broker_ssl_options(settings.celery_broker_url),
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "socket_timeout": BROKER_SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            **_unacked_keys(executor),
        },
        # A broker that restarts is waited for, however long it takes.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Nobody asks for results: the session row is the result.
        result_backend=None,
        task_ignore_result=True,
        # NFR-5.3: a message is acknowledged when its task is done, and not at all when the process dies.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # NFR-5.2. The threads pool does not enforce it; the task's own clock does (worker/execution/clock.py).
        task_time_limit=settings.task_limit_seconds,
        # One message a thread: what is not running stays where it can be handed back.
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.worker_concurrency,
        # 150 tasks wait for HTTP answers at once; 150 processes would take 7 GB.
        worker_pool="threads",
        # A lost broker connection does not stop work that needs no broker.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # celery-exporter shows nothing without events; worker/celery_events.py says what is in them.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Nobody asks, and each killed process would leave its mailbox in the broker (ADR 0022).
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
    )
    return app


def leave_logging_alone() -> None:
    """Keep Celery from replacing the process's logging set-up."""
    signals.setup_logging.connect(_already_set_up, weak=False)


def _already_set_up(**_: object) -> None:
    """Celery sets up logging only when nobody listens to this signal."""


def _unacked_keys(executor: UUID) -> dict[str, str]:
    """Per executor, so that no other worker delivers what a dead one held: its in-flight copies are run again."""
    name = queue_name(executor)
    return {
        "unacked_key": f"{name}.unacked",
        "unacked_index_key": f"{name}.unacked_index",
        "unacked_mutex_key": f"{name}.unacked_mutex",
    }
