"""Plays the platform's daily stuck-session job, while the workers still have the sessions that it ends.

A "night" is one run of that job. It begins at the database's midnight, reads the list of old open sessions once, and
makes two calls for each of them, refund and fail, with a pause before each call and without looking at the session
again: that is how the live platform does it. At the end the links of old sessions expire.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

import psycopg

from models.generation import SessionRef
from proofs.chaos.evidence import GivenBack
from proofs.chaos.plan import Ending
from sandbox.platform.database_clock import MIDNIGHT, DatabaseClock
from sandbox.platform.jobs import StuckSession, expire_links, fail_stuck, list_stuck, refund_stuck
from sandbox.platform.producer import Producer

OLD: Final = timedelta(minutes=20)
"""How old the sessions of a night are at its midnight."""

PROCESSING_AT_MIDNIGHT: Final = 2
"""How many of a night's sessions are to be processing at its midnight; the others wait in the queue, or are settled."""

PROCESSING_WAIT_SECONDS: Final = 45.0
"""How long to wait for that: tasks that were pushed before them come first. After that midnight comes anyway."""

POLL_SECONDS: Final = 0.05

BEFORE_MIDNIGHT: Final = timedelta(seconds=1)
"""How long before midnight the clock is set: statements that read the earlier time have ended when the list is read."""

MAX_PAUSE_SECONDS: Final = 0.5
"""The longest pause before a call of the job."""

RETRY_SECONDS: Final = 0.2
"""Between two tries of a call while the database is away: the platform tries again as well."""

Result = TypeVar("Result")


class StuckJob:
    """The job in one run of the chaos test.

    Args:
        producer: the platform's database.
        guarded: keeps the fault injection from killing the database during one call.
        random_source: decides how long the pauses are.
        dsn: address of the database whose clock is set.
    """

    def __init__(
        self,
        producer: Producer,
        guarded: Callable[[], AbstractContextManager[None]],
        random_source: random.Random,
        dsn: str,
    ) -> None:
        self._producer = producer
        self._guarded = guarded
        self._random = random_source
        self._dsn = dsn
        self.ended: dict[SessionRef, GivenBack] = {}
        """What the job gave back, for each session that it ended."""

    def make_old(self, session_id: UUID) -> None:
        """Make a session so old that the next night lists it, if it is still open then."""
        self._call(
            lambda: self._producer.execute(
                "UPDATE generation_sessions SET created_at = %s WHERE id = %s", MIDNIGHT - OLD, session_id
            )
        )

    def night(self, endings: dict[UUID, Ending]) -> None:
        """Run the job once; ``endings`` says what it does to each session that it lists."""
        self._wait_until_some_are_processing([*endings])
        self._set_clock(lambda clock: clock.run_from(MIDNIGHT - BEFORE_MIDNIGHT))
        time.sleep(BEFORE_MIDNIGHT.total_seconds())
        for stuck in self._call(lambda: list_stuck(self._producer.value, MIDNIGHT)):
            # On the platform a day lies between two nights, and recovery has ended by then what the job left half done;
            # here it is about a minute, so a session that an earlier night ended is left alone.
            if stuck.session not in self.ended:
                self._end(stuck, endings.get(stuck.session.session_id, Ending.WHOLE))
        self._call(lambda: expire_links(self._producer.execute, MIDNIGHT))
        self.day()

    def _wait_until_some_are_processing(self, session_ids: list[UUID]) -> None:
        deadline = time.monotonic() + PROCESSING_WAIT_SECONDS
        query = "SELECT count(*) FROM generation_sessions WHERE status = 'processing' AND id = ANY(%s)"
        while self._call(lambda: self._producer.value(query, session_ids)) < PROCESSING_AT_MIDNIGHT:
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)

    def day(self) -> None:
        """Set the database's clock to noon, so that no midnight comes, whatever the real time is."""
        self._set_clock(lambda clock: clock.run_from(DatabaseClock.NOON))

    def _end(self, stuck: StuckSession, ending: Ending) -> None:
        """Make the job's two calls for one session, or the one that ``ending`` leaves of them."""
        self._pause()
        if ending is not Ending.WITHOUT_REFUND:
            self._call(lambda: refund_stuck(self._producer.execute, stuck))
            self.ended[stuck.session] = GivenBack.ONCE
        self._pause()
        if ending is not Ending.DIES_HALFWAY:
            self._call(lambda: fail_stuck(self._producer.execute, stuck))
            self.ended.setdefault(stuck.session, GivenBack.LOST)

    def _pause(self) -> None:
        time.sleep(self._random.uniform(0, MAX_PAUSE_SECONDS))

    def _set_clock(self, change: Callable[[DatabaseClock], None]) -> None:
        def connect_and_change() -> None:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                change(DatabaseClock(connection))

        self._call(connect_and_change)

    def _call(self, call: Callable[[], Result]) -> Result:
        """Make a call, again and again until the database answers.

        Nothing kills the database during a call, so it is always known whether the call took effect.
        """
        while True:
            try:
                with self._guarded():
                    return call()
            except psycopg.OperationalError:
                time.sleep(RETRY_SECONDS)


def shares(nights: Sequence[object]) -> list[float]:
    """When each night begins: the share of the run's worker faults that must be over, spread evenly."""
    return [(number + 1) / (len(nights) + 1) for number in range(len(nights))]
