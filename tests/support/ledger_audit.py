"""NFR-2.4 from the database alone: the operator's own audit, and what only a sandbox can know about balances."""

from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from sandbox.platform.state import WRONG_BALANCES

AUDIT: Final = """
SELECT concat_ws(' ', a.rule, 'of', a.channel, a.owner_id, a.shopper_email, 'session ' || a.session_id)
    || ': ' || a.fault
FROM public.wearon_worker_audit('-infinity') a
"""


def ledger_faults(connection: psycopg.Connection[Any]) -> list[str]:
    """Everything wrong with credits at this moment, in words; empty when the books are right."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [fault for (fault,) in cursor.execute(f"{AUDIT} UNION ALL {WRONG_BALANCES}".encode()).fetchall()]
