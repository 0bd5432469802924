"""The worker's SQL functions called directly, as ``service_role``, and what their tables hold."""

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from models.generation import Channel, SessionRef
from worker.settlement.policy import ATTEMPT_LIMIT

LEASE_SECONDS: Final = 3600.0
"""Nobody dies of age in these tests; they move the clock with SQL instead."""

SESSION_OPTIONS: Final = "-c lock_timeout=20s -c deadlock_timeout=50ms"
"""A forgotten transaction is an error with a name; a deadlock is found at once and not after Postgres's second."""

IMAGE_URL: Final = "https://platform.test/picture.jpg?token=t"
MESSAGE: Final = "Something went wrong. You have not been charged."

API_FUNCTIONS: Final = frozenset(
    {
        "wearon_worker_schema_version",
        "wearon_worker_heartbeat",
        "wearon_worker_claim",
        "wearon_worker_release",
        "wearon_worker_complete",
        "wearon_worker_fail",
        "wearon_worker_recover",
        "wearon_worker_retire",
        "wearon_worker_unowned_sessions",
        "wearon_worker_overage_reversals",
        "wearon_worker_claim_v2",
        "wearon_worker_complete_v2",
        "wearon_worker_fail_v2",
        "wearon_worker_audit",
        "wearon_worker_unproven_charges",
        "wearon_worker_forget",
        "wearon_worker_activity",
        "wearon_worker_story",
        "wearon_worker_costs",
    }
)

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one session: who does it, and its fence."""

    session: SessionRef
    executor: UUID
    fence: UUID


class WorkerSql:
    """One connection that may do what the worker's key may do."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(
            dsn, autocommit=True, row_factory=dict_row, options=f"-c role=service_role {SESSION_OPTIONS}"
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[object]:
        """What is called inside is committed together, at its end."""
        return self._connection.transaction()

    def call(self, function: str, **arguments: object) -> list[dict[str, Any]]:
        """The rows that a function of the worker answers; a single value is in a column of the function's name."""
        query = sql.SQL("SELECT * FROM public.{}({})").format(
            sql.Identifier(f"wearon_worker_{function}"),
            sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(f"p_{name}"), sql.Placeholder()) for name in arguments
            ),
        )
        return self._connection.execute(query, list(arguments.values())).fetchall()

    def _answer(self, function: str, **arguments: object) -> Answer:
        [row] = self.call(function, **arguments)
        answer: Answer = row[f"wearon_worker_{function}"]
        return answer

    def heartbeat(self, executor: UUID, *, lease_seconds: float = LEASE_SECONDS) -> bool:
        """Register or renew; whether the executor is alive."""
        answer = self._answer("heartbeat", executor=executor, host="test", lease_seconds=lease_seconds)
        return bool(answer["alive"])

    def executor(self) -> UUID:
        """A new live executor."""
        executor = uuid4()
        assert self.heartbeat(executor)
        return executor

    def claim(self, run: Run, *, attempt_limit: int = ATTEMPT_LIMIT) -> Answer:
        """``wearon_worker_claim_v2``."""
        return self._answer(
            "claim_v2", **_of(run.session), executor=run.executor, fence=run.fence, attempt_limit=attempt_limit
        )

    def claimed(self, session: SessionRef, executor: UUID | None = None) -> Run:
        """A run that holds its claim, by ``executor`` or a new one."""
        run = Run(session, executor or self.executor(), uuid4())
        assert self.claim(run)["outcome"] == "claimed"
        return run

    def release(self, run: Run, *, rate_limited: bool = False) -> Answer:
        """``wearon_worker_release``."""
        return self._answer("release", **_of(run.session), fence=run.fence, rate_limited=rate_limited)

    def complete(self, run: Run) -> Answer:
        """``wearon_worker_complete_v2`` with plausible figures."""
        return self._answer(
            "complete_v2",
            **_of(run.session),
            fence=run.fence,
            generated_image_url=IMAGE_URL,
            processing_time_ms=21_500,
            input_tokens=3_200,
            output_tokens=1_056,
            estimated_cost_usd="0.042250",
        )

    def fail(self, session: SessionRef, fence: UUID | None, *, reason: str = "moderated") -> Answer:
        """``wearon_worker_fail_v2``; without a fence nobody runs the session."""
        return self._answer("fail_v2", **_of(session), fence=fence, error_message=MESSAGE, reason=reason)

    def recover(
        self, executor: UUID, *, holders: Iterable[UUID] = (), lease_seconds: float = LEASE_SECONDS
    ) -> set[UUID]:
        """``wearon_worker_recover``: which of ``holders`` are dead."""
        answer = self._answer("recover", executor=executor, lease_seconds=lease_seconds, holders=list(holders))
        return {UUID(dead) for dead in answer["dead"]}

    def retire(self, executor: UUID) -> None:
        """``wearon_worker_retire``."""
        self.call("retire", executor=executor)

    def unowned(self, *, grace_seconds: float = 0.0) -> list[SessionRef]:
        """``wearon_worker_unowned_sessions``, all of them."""
        rows = self.call(
            "unowned_sessions", grace_seconds=grace_seconds, after="-infinity", after_id=UUID(int=0), limit=10_000
        )
        return [SessionRef(Channel(row["channel"]), row["session_id"]) for row in rows]


class Superuser:
    """The worker's tables and the clock, in the hands of the test."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, options=f"-c search_path=public {SESSION_OPTIONS}")
        self._everything: str | None = None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of any statement that answers rows."""
        return self.connection.execute(query.encode(), values).fetchall()

    def execute(self, query: str, *values: object) -> None:
        """Any statement."""
        self.connection.execute(query.encode(), values)

    def set_clock_of(self, executor: UUID, *, renewed_seconds_ago: float, continuous_seconds: float = 1e6) -> None:
        """As if the executor had renewed its lease that long ago, and without a gap for that long before now."""
        self.execute(
            "UPDATE wearon_worker.executors SET"
            " expires_at = clock_timestamp() + make_interval(secs => %s),"
            " continuous_since = clock_timestamp() - make_interval(secs => %s) WHERE executor = %s",
            LEASE_SECONDS - renewed_seconds_ago,
            continuous_seconds,
            executor,
        )

    def may_judge(self, executor: UUID) -> None:
        """The executor has renewed without a gap for long enough, and just now."""
        self.set_clock_of(executor, renewed_seconds_ago=0)

    def lease_ran_out(self, executor: UUID) -> None:
        """The executor has not renewed for longer than its lease."""
        self.set_clock_of(executor, renewed_seconds_ago=LEASE_SECONDS + 1)

    def claim_row(self, session: SessionRef) -> dict[str, Any]:
        """What the worker remembers of the session's claim."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "SELECT * FROM wearon_worker.claims WHERE channel = %s AND session_id = %s",
                [session.channel.value, session.session_id],
            ).fetchone()
        assert row is not None
        return row

    def refunds(self) -> list[dict[str, Any]]:
        """Every refund the worker has given."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute("SELECT * FROM wearon_worker.refunds ORDER BY refunded_at").fetchall()

    def everything(self) -> list[str]:
        """All rows of all tables, and which sessions were written to (xmin): a write is an event for Realtime."""
        if self._everything is None:
            tables = self.rows(
                "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = ANY(%s)",
                ["public", "wearon_worker"],
            )
            self._everything = " UNION ALL ".join(_rows_of(table) for (table,) in tables)
        return sorted(row for (row,) in self.rows(self._everything))

    def catalogue(self) -> list[str]:
        """Everything the SQL files define, rights included, one line each."""
        lines = [line for (line,) in self.rows(CATALOGUE)]
        return [re.sub(r"\s+", " ", line) for line in lines]


CATALOGUE: Final = """
WITH namespaces AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('public', 'wearon_worker'))
SELECT format('schema %%s %%s', nspname, nspacl) FROM pg_namespace WHERE oid IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('function %%s %%s', pg_get_functiondef(p.oid), p.proacl)
FROM pg_proc p WHERE pronamespace IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('relation %%s %%s %%s', c.oid::regclass, c.relkind, c.relacl)
FROM pg_class c WHERE relnamespace IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('column %%s.%%s %%s %%s %%s %%s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
              a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attacl)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('constraint %%s %%s %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('index %%s', indexdef) FROM pg_indexes WHERE schemaname IN (SELECT nspname FROM namespaces)
UNION ALL
SELECT format('trigger %%s', pg_get_triggerdef(t.oid))
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('default rights %%s %%s', defaclobjtype, defaclacl)
FROM pg_default_acl WHERE defaclnamespace IN (SELECT oid FROM namespaces)
UNION ALL
SELECT format('published %%s.%%s', schemaname, tablename) FROM pg_publication_tables
ORDER BY 1
"""


def _rows_of(table: str) -> str:
    written = "t.xmin, " if table.endswith("sessions") else ""
    return f"SELECT concat('{table} ', {written}to_jsonb(t)) FROM {table} t"  # noqa: S608 - a name from the catalogue


def _of(session: SessionRef) -> dict[str, object]:
    return {"channel": session.channel.value, "session_id": session.session_id}
