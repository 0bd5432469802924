"""Recovery rounds, which every worker does at start-up and periodically (NFR-2.3, FR-2.4).

1. Executors whose lease ran out are declared dead; what they had in flight goes back to the queue to be run again.
2. Open sessions that have no task anywhere and no live owner are failed and refunded, once.
3. Dead letters, claims and executors that nobody needs any more are deleted, a few at a time.

Work of a live worker is never touched. Only the database decides which executors are dead (see wearon_worker_recover),
and a session counts as lost only when its task is in none of the lists.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import redis
import structlog

from config.settings import Settings
from models.failures import PlatformFailure, TaskLost
from models.generation import SessionRef
from services.platform.answers import UnownedSession
from services.platform.errors import may_spare_other_sessions
from services.platform.supabase_client import SupabaseClient
from services.queue.task_queue import TaskQueue
from worker.celery_app import forget
from worker.queue_elements import TRANSFER_LIMITS, session_named_by
from worker.recovery.letter_retention import LetterRetention
from worker.recovery.lost_sessions import judge
from worker.samples import RecordSample, SettlementRefused, TasksRecovered
from worker.settlement.policy import Fail, message_for
from worker.settlement.settle import Settlement

log = structlog.get_logger()

PAGE_SIZE: Final = 500
"""Open sessions looked at in one round, oldest first. With a long backlog these are the next in the queue, so that
their tasks are found on its first page."""

SURELY_GONE_SECONDS: Final = 600.0
"""How long the in-flight list of a dead executor is checked again. An executor that was only frozen or cut off may move
one more task into its list before its next heartbeat tells it that it was declared dead."""

FORGET_LIMIT: Final = 500
"""Rows deleted in one round: milliseconds for the database, and more than a busy hour makes in a minute of rounds."""

FORGET_PAUSE_SECONDS: Final = 3600.0
"""Pause after a deletion that left nothing to delete; rows are kept for days, so an hour does not matter."""

BEGINNING: Final = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


class Reaper:
    """Does recovery rounds. ``round`` is one."""

    def __init__(
        self,
        settings: Settings,
        *,
        queue: TaskQueue,
        broker: "redis.Redis",
        store: SupabaseClient,
        settlement: Settlement,
        record: RecordSample,
        current_executor: Callable[[], UUID],
        now: Callable[[], float] = time.monotonic,
        forget_limit: int = FORGET_LIMIT,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._broker = broker
        self._store = store
        self._settlement = settlement
        self._record = record
        self._current_executor = current_executor
        self._now = now
        self._forget_limit = forget_limit
        self._letters = LetterRetention(queue)
        self._found_dead_at: dict[UUID, float] = {}
        self._page_after = BEGINNING
        self._suspects: frozenset[SessionRef] = frozenset()
        self._forgets_at = now()

    def round(self) -> None:
        """Hand back the tasks of dead executors, settle lost sessions, delete what is old.

        Raises:
            RedisError, PlatformFailure: something is unreachable; nothing was decided on incomplete data.
        """
        self._take_over_from_the_dead()
        self._settle_lost_sessions()
        self._letters.round()
        self._forget_the_old()

    def _take_over_from_the_dead(self) -> None:
        executor = self._current_executor()
        # In every round, because a Redis that lost its data lost the registration, too.
        self._queue.register(executor)
        holders = self._queue.executors()
        dead = self._store.recover(executor, lease_seconds=self._settings.worker_lease_seconds, holders=holders)
        self._found_dead_at = {known: at for known, at in self._found_dead_at.items() if known in dead}
        for executor_id in dead:
            found_dead_at = self._found_dead_at.setdefault(executor_id, self._now())
            handed_back = self._queue.hand_back(executor_id)
            if handed_back:
                self._record(TasksRecovered("handed_back", handed_back))
                log.warning("dead_executor_recovered", executor=str(executor_id), handed_back=handed_back)
            if self._now() - found_dead_at > SURELY_GONE_SECONDS:
                forget(self._queue, self._broker, executor_id)
                del self._found_dead_at[executor_id]

    def _settle_lost_sessions(self) -> None:
        unowned = self._next_page()
        looked_at = dict.fromkeys([*self._suspects, *unowned])
        if not looked_at:
            return
        found = self._sessions_with_a_task({session.session_id for session in looked_at})
        verdict = judge(list(looked_at), found, self._suspects)
        self._suspects = verdict.suspects
        for session in verdict.lost:
            self._settle(session)

    def _forget_the_old(self) -> None:
        if self._now() < self._forgets_at:
            return
        forgotten = self._store.forget(self._forget_limit)
        if forgotten:
            log.info("old_rows_deleted", at_most_of_each=forgotten)
        if forgotten < self._forget_limit:
            self._forgets_at = self._now() + FORGET_PAUSE_SECONDS

    def _next_page(self) -> list[SessionRef]:
        after, after_id = self._page_after
        page: list[UnownedSession] = self._store.unowned_sessions(
            grace_seconds=self._settings.orphan_grace_seconds, after=after, after_id=after_id, limit=PAGE_SIZE
        )
        last = page[-1] if len(page) == PAGE_SIZE else None
        self._page_after = (last.created_at, last.session.session_id) if last else BEGINNING
        return [unowned.session for unowned in page]

    def _sessions_with_a_task(self, wanted: set[UUID]) -> set[UUID]:
        found: set[UUID] = set()
        for page in self._queue.waiting(TRANSFER_LIMITS):
            found |= wanted & {session_named_by(element) for element in page}
            if found == wanted:
                return found
        # After the queue, because tasks move from the queue to these lists.
        for executor in self._queue.executors():
            for page in self._queue.in_flight(executor, TRANSFER_LIMITS):
                found |= wanted & {session_named_by(element) for element in page}
        return found

    def _settle(self, session: SessionRef) -> None:
        with structlog.contextvars.bound_contextvars(session_id=str(session.session_id), channel=session.channel.value):
            try:
                answer = self._settlement.fail_unowned(session, Fail(message_for(TaskLost()), TaskLost.kind))
            except PlatformFailure as error:
                if not may_spare_other_sessions(error.reason):
                    raise
                log.error(
                    "lost_session_not_settled", operation=error.operation, reason=error.reason, detail=error.detail
                )
                self._record(SettlementRefused())
                return
            if answer.outcome == "failed":
                self._record(TasksRecovered("settled_lost_session"))
                log.warning("lost_session_settled", request_id=answer.request_id)
