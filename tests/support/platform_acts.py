"""The others on the platform, acting on one session in a test: both their steps, or one at a time."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import psycopg

from models.generation import Channel, SessionRef
from sandbox.platform.jobs import STUCK_AGE, StuckSession, fail_stuck, list_stuck, refund_stuck
from sandbox.platform.state import SESSION_TABLES

LONG_AGO: Final = timedelta(days=2)
"""Age of a session that every run of the job lists."""


def execute(connection: psycopg.Connection[Any], query: str, *values: object) -> None:
    """One statement; a transaction of its own on a connection in autocommit."""
    connection.execute(query.encode(), values)


def value(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    """The first column of the first row, whatever the connection makes of rows."""
    row = connection.execute(query.encode(), values).fetchone()
    return next(iter(row.values())) if isinstance(row, dict) else row and row[0]


def listed(connection: psycopg.Connection[Any], session: SessionRef) -> StuckSession | None:
    """The session's entry on the job's list, were it read now; ``None``: it is no session of a user, or not open."""
    everything = list_stuck(partial(value, connection), datetime.now(UTC) + STUCK_AGE + timedelta(minutes=1))
    return next((entry for entry in everything if entry.session == session), None)


def refund(connection: psycopg.Connection[Any], session: SessionRef) -> None:
    """Step 1 on an open session: by the job (b2c), or by a producer whose push raised (b2b)."""
    if session.channel is Channel.B2C:
        entry = listed(connection, session)
        assert entry is not None
        refund_stuck(partial(execute, connection), entry)
        return
    connection.execute(REFUND_STORE_SESSION, [session.session_id])


def fail(connection: psycopg.Connection[Any], session: SessionRef) -> None:
    """Step 2, whatever the row holds."""
    if session.channel is Channel.B2C:
        fail_stuck(partial(execute, connection), StuckSession(session, session.session_id))
        return
    connection.execute(
        "UPDATE store_generation_sessions SET status = 'failed', error_message = 'We could not start.' WHERE id = %s",
        [session.session_id],
    )


def give_up(connection: psycopg.Connection[Any], session: SessionRef) -> bool:
    """Both steps; ``False`` when the session is terminal already, so that nobody of the platform comes to it."""
    status = value(
        connection,
        f"SELECT status FROM {SESSION_TABLES[session.channel]} WHERE id = %s",  # noqa: S608 - constants
        session.session_id,
    )
    if status in ("completed", "failed"):
        return False
    refund(connection, session)
    fail(connection, session)
    return True


REFUND_STORE_SESSION: Final = """
    SELECT CASE
      WHEN t.description LIKE '%% (shopper=%%' THEN refund_store_shopper_credits(
        s.store_id, substring(t.description FROM 'shopper=(.*)\\)$'), -t.amount, s.request_id)
      ELSE refund_store_credits(s.store_id, -t.amount, s.request_id) END
    FROM store_generation_sessions s
    JOIN store_credit_transactions t ON t.store_id = s.store_id AND t.request_id = s.request_id AND t.type = 'deduction'
    WHERE s.id = %s"""
"""No deduction (an overage): nothing is written."""
