"""NFR-2.4 from the database alone: the operator's own audit, and what only a sandbox can know about balances."""

from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

AUDIT: Final = """
SELECT concat_ws(' ', a.rule, 'of', a.channel, a.owner_id, a.shopper_email, 'session ' || a.session_id)
    || ': ' || a.fault
FROM public.wearon_worker_audit('-infinity') a
"""

BALANCES: Final[dict[str, str]] = {
    "balance of a user other than the ledger": """
        SELECT u.user_id::text FROM public.user_credits u
        WHERE u.balance <> (
            SELECT coalesce(sum(t.amount), 0) FROM public.credit_transactions t WHERE t.user_id = u.user_id)
    """,
    "balance of a store other than bought and moved by the ledger": """
        SELECT c.store_id::text FROM public.store_credits c
        WHERE c.balance - c.total_purchased <> (
            SELECT coalesce(sum(t.amount), 0) FROM public.store_credit_transactions t
            WHERE t.store_id = c.store_id AND t.type IN ('deduction', 'refund')
              AND t.description NOT LIKE '% (shopper=%)')
    """,
    "balance of a shopper other than bought and moved by the ledger": """
        SELECT c.shopper_email FROM public.store_shopper_credits c
        WHERE c.balance - c.total_purchased <> (
            SELECT coalesce(sum(t.amount), 0) FROM public.store_credit_transactions t
            WHERE t.store_id = c.store_id AND t.type IN ('deduction', 'refund')
              AND t.description LIKE '% (shopper=' || c.shopper_email || ')')
    """,
}
"""What must not be -> the rows that show it. On the live platform other things move balances, too."""


def ledger_faults(connection: psycopg.Connection[Any]) -> list[str]:
    """Everything wrong with credits at this moment, in words; empty when the books are right."""
    found = " UNION ALL SELECT '{}: ' || x FROM ({}) AS found(x)"
    searches = "".join(found.format(name, rows) for name, rows in BALANCES.items())
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [fault for (fault,) in cursor.execute(f"{AUDIT}{searches}".encode()).fetchall()]
