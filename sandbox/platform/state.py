"""What a person or an auditor of the platform sees: sessions, balances and ledgers, read through SQL."""

import select
import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.pauses import Pauses

TERMINAL = frozenset({SessionStatus.COMPLETED, SessionStatus.FAILED})

WAIT_TIMEOUT_SECONDS = 60.0
"""Long enough for a session that is retried once after a rate limit (FR-3.1: 10 s)."""

SESSION_TABLES = {Channel.B2C: "generation_sessions", Channel.B2B: "store_generation_sessions"}

SESSION_OPTIONS = "-c search_path=public -c lock_timeout=10s"
"""A statement that waits for a forgotten transaction fails with a name instead of hanging."""

WIPED_SCHEMAS = ("public", "wearon_worker")
"""The platform's tables and the worker's own."""


WRONG_BALANCES: Final = """
    SELECT 'balance of user ' || u.user_id || ' other than its ledger' FROM public.user_credits u
    WHERE u.balance <> (
        SELECT coalesce(sum(t.amount), 0) FROM public.credit_transactions t WHERE t.user_id = u.user_id)
    UNION ALL
    SELECT 'balance of store ' || c.store_id || ' other than bought and moved by its ledger'
    FROM public.store_credits c
    WHERE c.balance - c.total_purchased <> (
        SELECT coalesce(sum(t.amount), 0) FROM public.store_credit_transactions t
        WHERE t.store_id = c.store_id AND t.type IN ('deduction', 'refund')
          AND t.description NOT LIKE '% (shopper=%)')
    UNION ALL
    SELECT 'balance of ' || c.shopper_email || ' other than bought and moved by the ledger'
    FROM public.store_shopper_credits c
    WHERE c.balance - c.total_purchased <> (
        SELECT coalesce(sum(t.amount), 0) FROM public.store_credit_transactions t
        WHERE t.store_id = c.store_id AND t.type IN ('deduction', 'refund')
          AND t.description LIKE '% (shopper=' || c.shopper_email || ')')
"""
"""Accounts whose balance moved without a line, or a line without the balance; one column of words. Here every grant is
known, unlike on the live platform, so this is no part of the worker's own audit."""

BALANCES: Final = """
    SELECT 'user', user_id, NULL, balance FROM public.user_credits
    UNION ALL SELECT 'store', store_id, NULL, balance FROM public.store_credits
    UNION ALL SELECT 'shopper', store_id, shopper_email, balance FROM public.store_shopper_credits
"""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """What a person sees of a session; ``owner_id`` is the user or the store."""

    id: UUID
    owner_id: UUID
    status: SessionStatus
    generated_image_url: str | None
    error_message: str | None
    processing_time_ms: int | None
    completed_at: datetime | None
    input_tokens: int | None
    output_tokens: int | None
    estimated_cost_usd: Decimal | None
    credits_used: int
    created_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", SessionStatus(self.status))


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of either credit ledger; ``request_id`` is always ``None`` for users."""

    channel: Channel
    owner_id: UUID
    amount: int
    type: str
    request_id: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Balances:
    """Every balance of the platform."""

    users: dict[UUID, int]
    stores: dict[UUID, int]
    shoppers: dict[tuple[UUID, str], int]


class PlatformDatabase:
    """The platform's database as its owner sees it. Safe to use from several threads; they take turns."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None

    def session(self, session: SessionRef) -> SessionRow:
        """The session's row. Raises ``LookupError`` if there is none."""
        query = sql.SQL(
            "SELECT id, {owner} AS owner_id, status, generated_image_url, error_message, processing_time_ms,"
            " completed_at, input_tokens, output_tokens, estimated_cost_usd, credits_used, created_at"
            " FROM {table} WHERE id = %s"
        ).format(
            owner=sql.Identifier("store_id" if session.channel is Channel.B2B else "user_id"),
            table=sql.Identifier(SESSION_TABLES[session.channel]),
        )
        with self._lock, self._connected().cursor(row_factory=class_row(SessionRow)) as cursor:
            row = cursor.execute(query, [session.session_id]).fetchone()
        if row is None:
            raise LookupError(f"no session {session.session_id}")
        return row

    def wait_for(
        self,
        session: SessionRef,
        statuses: Collection[SessionStatus] = TERMINAL,
        *,
        timeout_seconds: float = WAIT_TIMEOUT_SECONDS,
    ) -> SessionRow:
        """Wait until the session has one of ``statuses`` and return its row. Raises ``TimeoutError``."""
        pauses = Pauses()
        while True:
            row = self.session(session)
            if row.status in statuses:
                return row
            if pauses.waited_seconds > timeout_seconds:
                raise TimeoutError(f"session {session.session_id} is still {row.status} after {timeout_seconds} s")
            pauses.take()

    def set_status(self, session: SessionRef, status: SessionStatus) -> None:
        """Do what the platform's own clean-up job may do at any moment (without its refund)."""
        self.execute(
            sql.SQL("UPDATE {} SET status = %s WHERE id = %s").format(sql.Identifier(SESSION_TABLES[session.channel])),
            status,
            session.session_id,
        )

    def balances(self) -> Balances:
        """All balances at this moment: one statement sees one snapshot of the database."""
        with self._lock:
            rows = self._connected().execute(BALANCES.encode()).fetchall()
        balances = Balances({}, {}, {})
        for account, owner, email, balance in rows:
            if account == "shopper":
                balances.shoppers[owner, email] = balance
            else:
                (balances.users if account == "user" else balances.stores)[owner] = balance
        return balances

    def ledger(self) -> list[LedgerEntry]:
        """Both ledgers, oldest entry first."""
        query = (
            "SELECT 'b2c' AS channel, user_id AS owner_id, amount, type, NULL AS request_id, description, created_at"
            " FROM credit_transactions UNION ALL"
            " SELECT 'b2b', store_id, amount, type, request_id, description, created_at"
            " FROM store_credit_transactions ORDER BY created_at"
        )
        with self._lock:
            rows = self._connected().execute(query).fetchall()
        return [LedgerEntry(Channel(channel), *rest) for channel, *rest, _ in rows]

    def wipe(self) -> None:
        """Empty every table of the platform and of the worker; the queue is Redis's."""
        with self._lock:
            rows = self._connected().execute(
                "SELECT schemaname, tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY(%s)",
                [list(WIPED_SCHEMAS)],
            )
            tables = sql.SQL(", ").join(sql.Identifier(*row) for row in rows.fetchall())
            self._connected().execute(sql.SQL("TRUNCATE {} CASCADE").format(tables))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, query: str | sql.Composed, *values: object) -> None:
        """Run one statement in a transaction of its own."""
        with self._lock:
            self._connected().execute(query.encode() if isinstance(query, str) else query, values)

    def value(self, query: str, *values: object) -> Any:
        """The first column of the first row of the answer; ``None`` without a row."""
        with self._lock, self._connected().cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(query.encode(), values).fetchone()

    def _connected(self) -> psycopg.Connection[Any]:
        """A connection that works, also after Postgres was killed and started again."""
        if self._connection is not None and self._is_usable(self._connection):
            return self._connection
        self._connection = psycopg.connect(self._dsn, autocommit=True, options=SESSION_OPTIONS)
        return self._connection

    @staticmethod
    def _is_usable(connection: psycopg.Connection[Any]) -> bool:
        """Asks the server only when it has said something unasked, as it does when it ends; a question costs a trip."""
        if connection.closed:
            return False
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return True
        try:
            connection.execute("")
        except psycopg.OperationalError:
            connection.close()
            return False
        return True
