"""Plays the platform's nights: the stuck-session job over old sessions that the workers have, as it really goes.

Each night pushes its sessions, lets the database's midnight come, reads the list once, and goes through it in two calls
for each, with a pause, without looking. Then the links of old sessions expire.
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
"""Before that midnight the sessions of a night were made."""

AT_WORK: Final = 2
"""So many of a night's sessions are in work at its midnight, if that comes to pass soon; others wait, or are done."""

PATIENCE_SECONDS: Final = 45.0
"""For the backlog before them."""

POLL_SECONDS: Final = 0.05

BEFORE_MIDNIGHT: Final = timedelta(seconds=1)
"""How long before midnight the clock is set: nothing that read it earlier is still under way when the list is read."""

LONGEST_STEP_SECONDS: Final = 0.5
"""Between the job's two calls about one session, and from one session to the next."""

RETRY_SECONDS: Final = 0.2
"""The platform, too, tries again while its database is away."""

Result = TypeVar("Result")


class StuckJob:
    """The job of one run.

    Args:
        producer: the platform's database.
        guarded: holds off whoever kills the database, for the length of one call.
        random_source: how long the pauses are.
        dsn: of the database whose midnight comes.
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
        """What was done to whom."""

    def make_old(self, session_id: UUID) -> None:
        """Let a session be listed by the next job, if it is open then."""
        self._call(
            lambda: self._producer.execute(
                "UPDATE generation_sessions SET created_at = %s WHERE id = %s", MIDNIGHT - OLD, session_id
            )
        )

    def night(self, endings: dict[UUID, Ending]) -> None:
        """One night over what has been pushed; ``endings`` says what the job does to each session it lists."""
        self._wait_until_some_are_at_work([*endings])
        self._set_clock(lambda clock: clock.run_from(MIDNIGHT - BEFORE_MIDNIGHT))
        time.sleep(BEFORE_MIDNIGHT.total_seconds())
        for stuck in self._call(lambda: list_stuck(self._producer.value, MIDNIGHT)):
            # A day lies between two nights, not a minute: by then recovery has ended what the job left half done.
            if stuck.session not in self.ended:
                self._end(stuck, endings.get(stuck.session.session_id, Ending.WHOLE))
        self._call(lambda: expire_links(self._producer.execute, MIDNIGHT))
        self.day()

    def _wait_until_some_are_at_work(self, session_ids: list[UUID]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        query = "SELECT count(*) FROM generation_sessions WHERE status = 'processing' AND id = ANY(%s)"
        while self._call(lambda: self._producer.value(query, session_ids)) < AT_WORK:
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)

    def day(self) -> None:
        """No midnight is near, whatever the real time is."""
        self._set_clock(lambda clock: clock.run_from(DatabaseClock.NOON))

    def _end(self, stuck: StuckSession, ending: Ending) -> None:
        self._pause()
        if ending is not Ending.WITHOUT_REFUND:
            self._call(lambda: refund_stuck(self._producer.execute, stuck))
            self.ended[stuck.session] = GivenBack.ONCE
        self._pause()
        if ending is not Ending.DIES_HALFWAY:
            self._call(lambda: fail_stuck(self._producer.execute, stuck))
            self.ended.setdefault(stuck.session, GivenBack.LOST)

    def _pause(self) -> None:
        time.sleep(self._random.uniform(0, LONGEST_STEP_SECONDS))

    def _set_clock(self, change: Callable[[DatabaseClock], None]) -> None:
        def set_it() -> None:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                change(DatabaseClock(connection))

        self._call(set_it)

    def _call(self, call: Callable[[], Result]) -> Result:
        """Once it can be made; nobody kills the database meanwhile, so it is never in doubt whether it took effect."""
        while True:
            try:
                with self._guarded():
                    return call()
            except psycopg.OperationalError:
                time.sleep(RETRY_SECONDS)


def shares(nights: Sequence[object]) -> list[float]:
    """When each night begins, as a share of the run's worker faults."""
    return [(number + 1) / (len(nights) + 1) for number in range(len(nights))]
