"""``wearon status``: the queue, the workers, the provider and the last hour, on one screen."""

import argparse
import http.client
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from operations.connections import redis_of, reports_of
from operations.errors import EXIT_DONE, EXIT_UNAVAILABLE, Unreachable
from operations.health import TIMEOUT_SECONDS, ask, reachable
from operations.output import paint, show_json, show_lines
from operations.settings import StatusSettings, read_settings
from operations.status_view import Models, QueueState, Status, WorkerState, screen
from services.platform.report_answers import Activity
from services.queue.task_queue import Element, TaskQueue
from services.turns.provider_report import ProviderReport, pause_of
from worker.elements import Accepted, read_element
from worker.queue_elements import TRANSFER_LIMITS

DESCRIPTION: Final = """\
What the worker does now, and how the last hour was. Looks into Redis, asks the database, and asks the worker of this
host or container; what does not answer is said in words, and the rest is shown all the same.
"""

EPILOG: Final = """\
what the lines mean:
  worker     what GET /health of this worker says
  queue      tasks that nobody took yet; how long the next one has waited
  calls      whether the image provider is asked; of the turns of one minute, shared by all workers, how many are used
  model      the first is used; the end that the provider has announced for it, as the worker knows it
  last hour  what workers settled; from order to picture, half and 95 of 100 were quicker than this (NFR-1.1: 45 s)
  IN FLIGHT  tasks a worker took and did not finish (Redis); HELD: sessions it claimed (database)

examples:
  wearon status
  wearon status --json | jq .queue.waiting
  watch -n 5 wearon status

Exit status 69 when a part did not answer.
"""

LOOK_BACK: Final = timedelta(hours=1)

MAX_METRICS_BYTES: Final = 4 * 1024 * 1024
"""Of GET /metrics; it has 100 kB."""

GONE: Final = "wearon_model_gone_total"
USABLE: Final = "wearon_openai_model_usable"
SHUTDOWN: Final = "wearon_openai_model_shutdown_timestamp_seconds"

Part = TypeVar("Part")


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--json", action="store_true", help="as a JSON object, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    status = look(read_settings(StatusSettings), datetime.now(UTC))
    if options.json:
        show_json(status)
    else:
        show_lines(screen(status, paint()))
    return EXIT_UNAVAILABLE if status.silent else EXIT_DONE


def look(settings: StatusSettings, now: datetime) -> Status:
    """Ask everybody, one after the other."""
    silent: dict[str, str] = {}
    queue = _unless_silent("redis", silent, lambda: _look_into_redis(settings, now))
    activity = _unless_silent("database", silent, lambda: _ask_database(settings, now))
    worker, models = _ask_worker(settings)
    if worker.health is None:
        silent["worker"] = worker.line
    return Status(at=now, worker=worker, queue=queue, models=models, activity=activity, silent=silent)


def _unless_silent(name: str, silent: dict[str, str], ask_part: Callable[[], Part]) -> Part | None:
    try:
        return ask_part()
    except Unreachable as error:
        silent[name] = str(error)
        return None


def _look_into_redis(settings: StatusSettings, now: datetime) -> QueueState:
    with redis_of(settings) as client:
        queue = TaskQueue(client)
        ordered_at = created_at(queue.next_waiting(TRANSFER_LIMITS))
        return QueueState(
            waiting=queue.length(),
            oldest_seconds=None if ordered_at is None else (now - ordered_at).total_seconds(),
            in_flight=queue.in_flight_counts(queue.executors()),
            dead_letters=queue.dead_letter_count(),
            pause=pause_of(client),
            turns_taken=ProviderReport(client).look().turns_taken,
            turns_per_minute=settings.openai_requests_per_minute,
        )


def _ask_database(settings: StatusSettings, now: datetime) -> Activity:
    with reports_of(settings) as reports:
        return reports.activity(now - LOOK_BACK)


def _ask_worker(settings: StatusSettings) -> tuple[WorkerState, Models]:
    answer = ask(settings.host, settings.port)
    url = f"http://{reachable(settings.host)}:{settings.port}"
    models = Models(in_use=None, configured=settings.models, unusable={}, shutdowns={}, are_known=False)
    if answer.body is not None and (metrics := _read_metrics(settings)) is not None:
        with suppress(ValueError):  # a stranger listens on the worker's port; the rest of the screen is still true
            models = models_in(metrics, settings.models)
    return WorkerState(url=url, health=answer.body, is_well=answer.is_well, line=answer.line), models


def _read_metrics(settings: StatusSettings) -> str | None:
    connection = http.client.HTTPConnection(reachable(settings.host), settings.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(MAX_METRICS_BYTES).decode()
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def models_in(metrics: str, configured: tuple[str, ...]) -> Models:
    """What a worker's metrics say of its models [pure].

    Raises:
        ValueError: this is no metrics text.
    """
    samples = {
        (sample.name, sample.labels.get("model", "")): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name in {GONE, USABLE, SHUTDOWN}
    }
    # The counter remembers what was gone once; after the account was mended the model may be there again.
    unusable = [model for model in configured if not samples.get((USABLE, model), 1)]
    return Models(
        in_use=next((model for model in configured if model not in unusable), None),
        configured=configured,
        unusable={model: "gone" if samples.get((GONE, model), 0) else "refused to the account" for model in unusable},
        shutdowns={
            model: datetime.fromtimestamp(samples[SHUTDOWN, model], UTC)
            for model in configured
            if (SHUTDOWN, model) in samples
        },
        are_known=True,
    )


def created_at(element: Element | None) -> datetime | None:
    """When the platform made a task; ``None`` for no task and for what is none [pure]."""
    if not isinstance(element, bytes):
        return None
    decision = read_element(element)
    return decision.task.created_at if isinstance(decision, Accepted) else None
