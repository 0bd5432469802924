"""The Celery task, thin as a view: it unpacks, runs, and turns the result into what Celery does next."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import Celery
from celery.exceptions import Retry

from worker.celery_app import TASK_NAME
from worker.execution.run import Finished, Postponed, Returned, RunResult
from worker.link import Event, RunBroke, RunFinished, RunPostponed, RunReturned, RunStarted
from worker.samples import ErrorUnforeseen
from worker.settlement.policy import MAX_RATE_LIMIT_RETRIES

log = structlog.get_logger()

REMEMBERED_DISPATCHES: Final = 10_000
"""Ids of finished dispatches that are kept to recognise a redelivered message: those of half an hour at 300 a minute.
Celery redelivers at most once for each lost acknowledgement."""


class DispatchRegister:
    """Running and finished dispatches of this process, so that a redelivered message does nothing."""

    def __init__(self, *, remembered: int = REMEMBERED_DISPATCHES) -> None:
        self._remembered = remembered
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._over: OrderedDict[str, None] = OrderedDict()

    def begin(self, dispatch_id: str) -> bool:
        """Whether to run the dispatch; ``False`` when it is running already or has finished."""
        with self._lock:
            if dispatch_id in self._running or dispatch_id in self._over:
                return False
            self._running.add(dispatch_id)
            return True

    def postpone(self, dispatch_id: str) -> None:
        """The dispatch will be run again later, so it must not count as a redelivery then."""
        with self._lock:
            self._running.discard(dispatch_id)

    def end(self, dispatch_id: str) -> None:
        """The dispatch has finished."""
        with self._lock:
            self._running.discard(dispatch_id)
            self._over[dispatch_id] = None
            while len(self._over) > self._remembered:
                self._over.popitem(last=False)


def register_generate_task(
    app: Celery, *, run: Callable[[bytes], RunResult], tell: Callable[[Event], None], register: DispatchRegister
) -> None:
    """Give the Celery application its one task.

    Args:
        app: where the task is registered.
        run: runs one queue element (``TaskRunner.run``).
        tell: sends events to the main process.
        register: recognises messages that are delivered again.
    """

    @app.task(name=TASK_NAME, bind=True, shared=False, max_retries=MAX_RATE_LIMIT_RETRIES)  # type: ignore[untyped-decorator]
    def generate(self: Any, element: str) -> None:
        dispatch_id: str = self.request.id
        with structlog.contextvars.bound_contextvars(**_ids_of(element)):
            if not register.begin(dispatch_id):
                log.info("redelivery_dropped", dispatch_id=dispatch_id)
                return
            tell(RunStarted(dispatch_id))
            try:
                result = run(element.encode())
            except BaseException as error:
                # Free the slot, and make sure that the task is not tried for ever.
                log.exception("run_raised")
                register.end(dispatch_id)
                tell(ErrorUnforeseen("run"))
                tell(RunBroke(dispatch_id, type(error).__name__))
                if not isinstance(error, Exception):
                    raise
                return
            match result:
                case Finished():
                    register.end(dispatch_id)
                    tell(RunFinished(dispatch_id))
                case Returned():
                    register.end(dispatch_id)
                    tell(RunReturned(dispatch_id))
                case Postponed(delay_seconds):
                    register.postpone(dispatch_id)
                    tell(RunPostponed(dispatch_id, delay_seconds))
                    _run_again_later(self, delay_seconds, lambda: tell(RunReturned(dispatch_id)))


def _ids_of(element: str) -> dict[str, Any]:
    """The ids that every log line of a task carries (Pattern 1)."""
    content = json.loads(element)
    return {name: content.get(name) for name in ("request_id", "session_id", "channel", "task_id")}


def _run_again_later(task: Any, delay_seconds: float, give_back: Callable[[], None]) -> None:
    """One Celery retry (FR-3.1). When the broker does not take it, the main process dispatches the task again."""
    try:
        task.retry(countdown=delay_seconds)
    except Retry:
        raise
    except Exception as error:
        log.warning("retry_not_published", reason=type(error).__name__, detail=str(error))
        give_back()
