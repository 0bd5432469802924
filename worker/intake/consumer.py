"""Takes tasks from the platform's queue and gives them to Celery, only as many as can start now.

A task is moved, not popped: it stays in the executor's in-flight list until its session is terminal (ADR 0002). So no
error in this loop can lose a task: reconciling compares the in-flight list with what was dispatched, and dispatches
what is missing. It also finds elements that are too long to be read, and sets them aside without reading them
(ADR 0014).
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import redis
import structlog

from models.failures import BadTask, PlatformFailure
from models.health import Component
from services.queue.bounded_replies import ReplyTooLarge
from services.queue.refusals import words_of
from services.queue.task_queue import LongElement, TaskQueue
from worker.dead_letters import DeadLetter
from worker.elements import Accepted, Rejected, read_element, read_ends, session_id_of
from worker.health import HealthBoard
from worker.intake.dispatches import Dispatch, DispatchLedger
from worker.intake.publishing import BrokerAway, Publisher
from worker.intake.stop import Intake, IntakeStop
from worker.queue_elements import TRANSFER_LIMITS
from worker.samples import ErrorUnforeseen, LetterBuried, RecordSample
from worker.settlement.policy import Fail, message_for
from worker.settlement.settle import Settlement

log = structlog.get_logger()

ERROR_BACKOFF_SECONDS: Final = 5.0
"""FR-3.4."""

ROOM_CHECK_SECONDS: Final = 1.0
"""How long the loop waits for a free thread before it checks again whether it must stop."""

RECONCILE_ROUNDS: Final = 15
"""Idle rounds (a pop of 20 s each) between two reconciliations: every 5 minutes. After an error, a returned run or an
element too long to be read, the next round reconciles; a pop that blocks is interrupted for a returned run."""


class Consumer:
    """The loop of one executor. ``run`` is its thread; ``round`` is one pass, which tests call."""

    def __init__(
        self,
        *,
        executor: UUID,
        queue: TaskQueue,
        publisher: Publisher,
        dispatcher: DispatchLedger,
        settlement: Settlement,
        record: RecordSample,
        board: HealthBoard,
        intake: IntakeStop | None = None,
        room_check_seconds: float = ROOM_CHECK_SECONDS,
    ) -> None:
        self._executor = executor
        self._queue = queue
        self._publisher = publisher
        self._dispatcher = dispatcher
        self._settlement = settlement
        self._record = record
        self._board = board
        self._intake = intake
        self._room_check_seconds = room_check_seconds
        self._stopping = threading.Event()
        # Held while a pop is interrupted, and to leave one: the command after it is not mistaken for it.
        self._pop_lock = threading.Lock()
        self._popping = False
        self._interrupted = False
        self._unpublished: list[Dispatch] = []
        self._rounds_until_reconcile = 0
        # A thread of its own: settling a bad element may wait for the database, and taking tasks must not.
        self._bad_elements = ThreadPoolExecutor(1, thread_name_prefix="bad-elements")

    def run(self) -> None:
        """Take tasks until told to stop. After an error of Redis or the broker it waits and tries again."""
        while not self._stopping.is_set():
            try:
                self.round()
            except (redis.RedisError, BrokerAway, OSError) as error:
                if self._stopping.is_set():
                    break
                self._rounds_until_reconcile = 0
                if isinstance(error, redis.ConnectionError) and self._was_interrupted():
                    continue  # by wake(); reconciling also finds a task that the pop had moved
                part = Component.BROKER if isinstance(error, BrokerAway) else Component.REDIS
                words = words_of(error) if isinstance(error, redis.RedisError) else str(error)
                self._board.part(part, up=False, reason=words)
                log.warning(
                    "consumer_error", reason=type(error).__name__, detail=words, retry_seconds=ERROR_BACKOFF_SECONDS
                )
                self._stopping.wait(ERROR_BACKOFF_SECONDS)
            except Exception:
                # stop_taking() closes the connection during a pop, and redis-py may then raise anything.
                if self._stopping.is_set():
                    break
                raise

    def stop(self) -> None:
        """Take no more tasks. The caller also closes the connection, which ends a pop that blocks."""
        self._stopping.set()

    def wake(self) -> None:
        """Interrupt a pop that blocks, so that a returned run is dispatched now; called by other threads.

        A single call may come just before the pop begins and do nothing, so it must be repeated.
        """
        with self._pop_lock:
            if self._popping and self._dispatcher.has_returned():
                self._interrupted = True
                self._queue.interrupt()

    def _was_interrupted(self) -> bool:
        """Whether a lost connection is our own doing; told once for each interruption."""
        with self._pop_lock:
            interrupted, self._interrupted = self._interrupted, False
        return interrupted

    def close(self) -> None:
        """After the loop has ended. Bad elements not settled by then have lost their task, so recovery settles them."""
        self._bad_elements.shutdown(wait=False, cancel_futures=True)

    def round(self) -> None:
        """Publish what an error left over, bury broken runs, reconcile if due; then take a task if there is room."""
        while self._unpublished:
            self._publish(self._unpublished[-1])
            self._unpublished.pop()
        for broken, reason in self._dispatcher.broken():
            self._bury_broken(broken, reason)
        match self._intake.ask() if self._intake is not None else Intake.OPEN:
            case Intake.CLOSED:
                self._stopping.wait(self._room_check_seconds)
                return
            case Intake.ONE_TASK:
                self._try_one()
                return
        if self._dispatcher.take_returned() or self._rounds_until_reconcile <= 0:
            self._reconcile()
        if not self._dispatcher.wait_for_room(self._room_check_seconds) or self._stopping.is_set():
            return
        element = self._take()
        self._board.part(Component.REDIS, up=True)  # this was a write; reads are answered by a replica too
        if element is None:
            self._rounds_until_reconcile -= 1
        elif not self._stopping.is_set():
            self._handle(element)

    def _try_one(self) -> None:
        """Dispatch one task, a returned one first; the Celery process reports how it ends."""
        if self._dispatcher.take_returned():  # otherwise the pop would be interrupted for it again and again
            self._rounds_until_reconcile = 0
        missed = self._not_dispatched()
        element = missed[0] if missed else self._take()
        self._board.part(Component.REDIS, up=True)
        if element is not None and not self._stopping.is_set():
            self._handle(element, again=bool(missed))
            if self._intake is not None:
                self._intake.tried()

    def _take(self) -> bytes | None:
        try:
            return self._pop()
        except ReplyTooLarge as refused:
            log.warning("element_not_read", size_bytes=refused.size_bytes, limit_bytes=refused.limit_bytes)
            self._rounds_until_reconcile = 0
            if not self._stopping.is_set():
                self._not_dispatched()  # sets it aside: it is in flight already
            return None

    def _pop(self) -> bytes | None:
        self._popping = True
        try:
            return self._queue.take(self._executor)
        finally:
            with self._pop_lock:
                self._popping = False

    def _reconcile(self) -> None:
        for element in self._not_dispatched():
            self._handle(element, again=True)
        self._rounds_until_reconcile = RECONCILE_ROUNDS

    def _not_dispatched(self) -> list[bytes]:
        """Elements in flight that were not given to Celery. Those too long to be a task are set aside."""
        too_long: list[LongElement] = []
        missed = self._dispatcher.not_dispatched(self._short_in_flight(too_long))
        # First what does not need the broker: it may be unreachable.
        for long_element in too_long:
            self._set_aside(long_element)
        return missed

    def _short_in_flight(self, too_long: list[LongElement]) -> Iterator[bytes]:
        """Elements in flight that may be tasks, read page by page; longer ones are appended to ``too_long``."""
        for page in self._queue.in_flight(self._executor, TRANSFER_LIMITS):
            for element in page:
                if isinstance(element, LongElement):
                    too_long.append(element)
                else:
                    yield element

    def _handle(self, element: bytes, *, again: bool = False) -> None:
        match read_element(element):
            case Accepted(task):
                log.info(
                    "task_taken",
                    request_id=task.request_id,
                    session_id=str(task.session_id),
                    channel=task.channel.value,
                    task_id=str(task.task_id),
                    again=again,
                )
                dispatch = self._dispatcher.add(element)
                self._unpublished.append(dispatch)
                self._publish(dispatch)
                self._unpublished.remove(dispatch)
            case Rejected() as rejected:
                self._bury(element, rejected)

    def _publish(self, dispatch: Dispatch) -> None:
        # A repeated publication has the same id: if the broker had the first one, Celery drops the second.
        self._publisher.publish(dispatch.dispatch_id, dispatch.element)
        self._board.part(Component.BROKER, up=True)
        self._dispatcher.published(dispatch)

    def _bury(self, element: bytes, rejected: Rejected) -> None:
        letter = DeadLetter.about(
            element,
            reason=rejected.reason,
            detail=rejected.detail,
            buried_at=datetime.now(UTC),
            session_ids=tuple(session.session_id for session in rejected.sessions),
            request_id=rejected.request_id,
        )
        self._queue.bury(self._executor, element, letter.encode())
        self._settle_buried(letter, rejected)

    def _bury_broken(self, element: bytes, reason: str) -> None:
        """Bury the element of a run that raised. Recovery settles its session once no executor holds it."""
        session_id = session_id_of(element)
        letter = DeadLetter.about(
            element,
            reason=BadTask.kind,
            detail=f"its run ended by {reason}, which nobody foresaw",
            buried_at=datetime.now(UTC),
            session_ids=() if session_id is None else (session_id,),
            request_id=None,
        )
        self._queue.bury(self._executor, element, letter.encode())
        self._dispatcher.buried(element, reason)
        self._record(LetterBuried(letter.reason))
        log.error("broken_run_buried", letter_id=letter.letter_id, detail=letter.detail, session_ids=letter.session_ids)

    def _set_aside(self, element: LongElement) -> None:
        rejected = read_ends(element.size_bytes, element.head, element.tail)
        letter = DeadLetter.about_long(
            element.fingerprint,
            size_bytes=element.size_bytes,
            reason=rejected.reason,
            detail=rejected.detail,
            buried_at=datetime.now(UTC),
            session_ids=tuple(session.session_id for session in rejected.sessions),
            key_for=self._queue.keys.set_aside,
        )
        if self._queue.set_aside(self._executor, element, letter_id=letter.letter_id, letter=letter.encode()):
            self._settle_buried(letter, rejected)

    def _settle_buried(self, letter: DeadLetter, rejected: Rejected) -> None:
        self._record(LetterBuried(rejected.reason))
        log.error(
            "bad_element_buried",
            letter_id=letter.letter_id,
            reason=letter.reason,
            detail=letter.detail,
            size_bytes=letter.size_bytes,
            request_id=letter.request_id,
            session_ids=letter.session_ids,
        )
        self._bad_elements.submit(self._fail_sessions, rejected).add_done_callback(self._tell_of_error)

    def _tell_of_error(self, settled: "Future[None]") -> None:
        if not settled.cancelled() and (error := settled.exception()) is not None:
            # Recovery finds and settles what was not settled here.
            log.error("bad_element_not_settled", exc_info=error)
            self._record(ErrorUnforeseen("bad_elements"))

    def _fail_sessions(self, rejected: Rejected) -> None:
        for session in rejected.sessions:
            with structlog.contextvars.bound_contextvars(
                request_id=rejected.request_id, session_id=str(session.session_id), channel=session.channel.value
            ):
                try:
                    decision = Fail(message_for(BadTask()), f"{BadTask.kind}:{rejected.reason}")
                    self._settlement.fail_unowned(session, decision)
                except PlatformFailure as error:
                    # The session has no task any more, so recovery finds and settles it.
                    log.error(
                        "bad_element_not_settled", operation=error.operation, reason=error.reason, detail=error.detail
                    )
