"""The Celery process: started by the main process for one executor, and ends with it.

``python -m worker.execution.process`` is not for people: it needs the link that ``worker/supervision/executor.py``
gives it, and the settings on standard input.
"""

import os
import resource
import socket
import sys
import threading
import warnings
from typing import Final
from uuid import UUID

import structlog
from celery import signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from config.logging_config import configure_logging
from config.settings import Settings, unpack
from models.health import Component
from services.child_process import inherited_link
from services.fetching.url_guard import TrustedHosts
from services.heap_trimming import trim_heap_after_work
from services.platform.storage_gate import StorageGate
from services.platform.supabase_client import SupabaseClient
from services.providers.client import ImageClient
from services.providers.openai.images import OpenAIImages
from services.queue.connection import connect
from services.queue.task_queue import TaskQueue
from services.turns.breaker import ProviderBreaker
from services.turns.gate import TurnGate
from services.turns.window import RateGate
from worker.celery_app import create_celery_app, leave_logging_alone
from worker.execution.burial_brake import BurialBrake
from worker.execution.pipeline import Pipeline
from worker.execution.run import TaskRunner
from worker.execution.tasks import DispatchRegister, register_generate_task
from worker.link import EXECUTOR_VARIABLE, ChildEnd, DeclaredDead, ExecutorReady, IntakeHeld, PartSeen
from worker.samples import ModelRetired, ModelsUsable, ProviderAsked
from worker.settlement.away_watch import AwayWatch
from worker.settlement.settle import Settlement
from worker.settlement.storage_probe import probe_storage

OPEN_FILES: Final = 16_384
"""200 tasks each have an event loop (3 descriptors) and, at worst, ten downloads; 1024 is what many systems allow at
first, out of a hard limit that is far higher."""

log = structlog.get_logger()


def main() -> int:
    """Run Celery for one executor until told to stop (SIGTERM) or the main process is gone."""
    settings = unpack(sys.stdin.buffer.read())
    executor = UUID(os.environ[EXECUTOR_VARIABLE])
    link = ChildEnd(inherited_link().detach())
    link.die_with_parent()
    configure_logging(settings.log_level, settings.secrets, process="celery")
    leave_logging_alone()
    allow_open_files(OPEN_FILES)
    trim_heap_after_work()
    shorten_warnings()
    # Setting up its logging, Celery puts filters of its own before these.
    signals.celeryd_after_setup.connect(lambda **_: ignore_decided_warnings(), weak=False)
    # Celery prints its notice of a shutdown past all logging; on standard error the main process makes it a line.
    sys.__stdout__ = sys.__stderr__  # type: ignore[misc]

    shutting_down = threading.Event()
    signals.worker_shutting_down.connect(lambda **_: shutting_down.set(), weak=False)
    signals.worker_ready.connect(lambda **_: link.send(ExecutorReady()), weak=False)

    app = create_celery_app(settings, executor)
    runner = build_runner(settings, executor, link, shutting_down)
    register_generate_task(app, run=runner.run, tell=link.send, register=DispatchRegister())

    worker = app.Worker(
        hostname=f"{executor}@{socket.gethostname()}",
        quiet=True,  # the banner is no JSON
        loglevel=settings.log_level,
        without_gossip=True,  # nobody here listens to other workers
        without_mingle=True,
        task_events=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def allow_open_files(count: int) -> None:
    """Raise this process's soft limit of open files to ``count``, as far as the hard limit lets it; never lower it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def shorten_warnings() -> None:
    """Keep out of the log, word by word, what Celery warns of although it is decided and handled here.

    * Tasks that go on when the broker is lost: so decided (``worker/celery_app.py``); it says so at every loss.
    * Root, in seven lines: one of ours instead. The image does not run as root, a sandbox may; what makes root
      dangerous to Celery is pickle, which is not accepted (``accept_content``).
    """
    ignore_decided_warnings()
    if os.getuid() == 0 or os.geteuid() == 0:
        warnings.filterwarnings("ignore", r"You're running the worker with superuser privileges", SecurityWarning)
        log.warning("running_as_root", advice="run it as an ordinary user, as the image does")


def ignore_decided_warnings() -> None:
    """The part of ``shorten_warnings`` that has to be done again when Celery has set up its logging."""
    warnings.filterwarnings("ignore", r"\s*In Celery 5\.1 we introduced", CPendingDeprecationWarning)


def build_runner(settings: Settings, executor: UUID, link: ChildEnd, shutting_down: threading.Event) -> TaskRunner:
    """Put together what runs a task, from the settings."""
    redis = connect(settings.redis_url)
    store = SupabaseClient(settings.supabase_url, settings.supabase_service_role_key.get_secret_value())
    storage = StorageGate(
        lambda: probe_storage(store),
        lambda reason: link.send(PartSeen(Component.STORAGE, not reason, reason)),
        pause_seconds=settings.platform_pause_seconds,
    )
    link.send(ModelsUsable([model.name for model in settings.image_models]))  # a new process asks all of them again
    provider = OpenAIImages(settings.openai_base_url, settings.openai_api_key.get_secret_value())
    return TaskRunner(
        executor=executor,
        queue=TaskQueue(redis),
        settlement=Settlement(
            store,
            link.send,
            gate=storage,
            watch=AwayWatch(lambda reason: link.send(PartSeen(Component.DATABASE, not reason, reason))),
            cancelled=shutting_down.is_set,
        ),
        pipeline=Pipeline(
            TrustedHosts.parse(settings.image_url_trusted_hosts),
            ImageClient(
                provider,
                models=settings.image_models,
                effort=settings.image_effort,
                max_retries=settings.openai_max_retries,
                turns=TurnGate(
                    RateGate(
                        redis,
                        provider.name,
                        turns_per_window=settings.openai_requests_per_minute,
                        images_per_window=settings.openai_input_images_per_minute or None,
                    ),
                    ProviderBreaker(redis, provider.name, pause_seconds=settings.openai_pause_seconds),
                ),
                storage=storage,
                cancelled=shutting_down.is_set,
                on_attempt=lambda model, _status, code: link.send(ProviderAsked(model, code)),
                on_model_gone=lambda model: link.send(ModelRetired(model)),
                on_usable_models=lambda models: link.send(ModelsUsable(list(models))),
            ),
            shutting_down.is_set,
        ),
        record=link.send,
        task_limit_seconds=settings.task_limit_seconds,
        cancelled=shutting_down.is_set,
        on_declared_dead=lambda: link.send(DeclaredDead()),
        brake=BurialBrake(lambda reason: link.send(IntakeHeld(reason)), pause_seconds=settings.platform_pause_seconds),
    )


if __name__ == "__main__":
    sys.exit(main())
