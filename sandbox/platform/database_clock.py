"""Puts another time in the place of the worker's SQL's own, so that the platform's midnight comes when it is wanted."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import psycopg

MIDNIGHT: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
"""The last 00:00 UTC before this process began: what is inserted meanwhile is younger than any list of that night."""


NEAR: Final = timedelta(minutes=15)
"""To 00:00 UTC: the job's five minutes, and as long as a module of tests may take."""


class DatabaseClock:
    """``wearon_worker.clock()`` of one database; the real time comes back at the end.

    Args:
        connection: the owner's, in autocommit.
    """

    NOON: Final = MIDNIGHT + timedelta(hours=12)
    BEFORE_THE_LIST: Final = MIDNIGHT - timedelta(seconds=5)
    """The job is about to read its list."""
    WHILE_THE_JOB_RUNS: Final = MIDNIGHT + timedelta(minutes=1)
    AFTERWARDS: Final = MIDNIGHT + timedelta(minutes=5)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def set(self, at: datetime) -> None:
        """Stop it at ``at``."""
        self._replace(f"'{at.isoformat()}'::timestamptz")

    def run_from(self, at: datetime) -> None:
        """Let it be ``at`` now, and go on from there."""
        behind = datetime.now(UTC) - at
        self._replace(f"clock_timestamp() - interval '{behind.total_seconds():.6f} s'")

    def keep_from_the_job(self, now: datetime) -> None:
        """Let it be an hour later while the real 00:00 UTC is near, so that tests of other things are the same at every
        hour."""
        since_midnight = timedelta(hours=now.hour, minutes=now.minute)
        if since_midnight < NEAR or since_midnight > timedelta(days=1) - NEAR:
            self._replace("clock_timestamp() + interval '1 hour'")

    def restore(self) -> None:
        """The real time again, as the migration defines it."""
        self._replace("clock_timestamp()")

    def _replace(self, expression: str) -> None:
        self._connection.execute(
            "CREATE OR REPLACE FUNCTION wearon_worker.clock() RETURNS timestamptz LANGUAGE sql VOLATILE"
            f" SET search_path = '' AS $$ select {expression} $$".encode()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
