"""NFR-2.4 from the database alone: for every payer, deducted = completed + refunded + open; and no refund twice.

Who paid a store's session is read as the platform means it: an 'overage' row, else the shopper on the row, else the
store.
"""

from typing import Any, Final

import psycopg

from models.generation import Channel, SessionRef

FAULTS: Final[dict[str, str]] = {
    "a user's deductions are not completed + refunded + open": """
        SELECT u.user_id FROM user_credits u
        WHERE (SELECT coalesce(-sum(t.amount), 0) FROM credit_transactions t
               WHERE t.user_id = u.user_id AND t.type IN ('generation', 'refund'))
           <> (SELECT coalesce(sum(s.credits), 0) FROM audit_sessions s
               WHERE s.channel = 'b2c' AND s.owner_id = u.user_id AND s.state IN ('completed', 'open'))
    """,
    "a user's balance is not the sum of the ledger": """
        SELECT u.user_id FROM user_credits u
        WHERE u.balance <> (SELECT coalesce(sum(t.amount), 0) FROM credit_transactions t WHERE t.user_id = u.user_id)
    """,
    "a store's balance is not what it bought less completed and open": """
        SELECT c.store_id FROM store_credits c
        WHERE c.total_purchased - c.balance
           <> (SELECT coalesce(sum(s.credits), 0) FROM audit_sessions s
               WHERE s.payer = 'store' AND s.owner_id = c.store_id AND s.state IN ('completed', 'open'))
           OR c.total_spent <> c.total_purchased - c.balance
    """,
    "a shopper's balance is not what was bought less completed and open": """
        SELECT c.shopper_email FROM store_shopper_credits c
        WHERE c.total_purchased - c.balance
           <> (SELECT coalesce(sum(s.credits), 0) FROM audit_sessions s
               WHERE s.payer = 'shopper' AND s.owner_id = c.store_id AND lower(s.shopper_email) = c.shopper_email
                 AND s.state IN ('completed', 'open'))
           OR c.total_spent <> c.total_purchased - c.balance
    """,
    "a store's ledger does not add up to its sessions": """
        SELECT st.id FROM stores st
        WHERE (SELECT coalesce(-sum(t.amount), 0) FROM store_credit_transactions t
               WHERE t.store_id = st.id AND t.type IN ('deduction', 'refund'))
           <> (SELECT coalesce(sum(s.credits), 0) FROM audit_sessions s
               WHERE s.channel = 'b2b' AND s.owner_id = st.id AND s.payer <> 'overage'
                 AND s.state IN ('completed', 'open'))
    """,
    "a failed overage is not on record for billing": """
        SELECT s.id FROM audit_sessions s
        WHERE s.payer = 'overage' AND s.status = 'failed' AND s.failed_by_us
          AND NOT EXISTS (SELECT FROM wearon_worker.refunds r WHERE r.session_id = s.id AND r.kind = 'store_overage')
    """,
    "a session is completed and refunded": """
        SELECT s.id FROM audit_sessions s WHERE s.status = 'completed' AND s.refunded
    """,
    "a refund of a session that is not failed": """
        SELECT s.id FROM audit_sessions s WHERE s.refunded AND s.status <> 'failed' AND NOT s.failed_by_us
    """,
}
"""What must not be -> the rows that show it."""

SESSIONS: Final = """
SELECT a.*, CASE WHEN a.status = 'completed' THEN 'completed' WHEN a.status = 'failed' OR a.refunded THEN 'refunded'
            ELSE 'open' END AS state,
       EXISTS (SELECT FROM wearon_worker.claims c
               WHERE c.session_id = a.id AND c.outcome = 'failed') AS failed_by_us
FROM (
    SELECT 'b2c' AS channel, s.id, s.user_id AS owner_id, s.status, s.credits_used AS credits, 'user' AS payer,
           NULL AS shopper_email,
           EXISTS (SELECT FROM wearon_worker.refunds r WHERE r.session_id = s.id) AS refunded
    FROM public.generation_sessions s
    UNION ALL
    SELECT 'b2b', s.id, s.store_id, s.status, s.credits_used,
           CASE WHEN EXISTS (SELECT FROM public.store_credit_transactions t
                             WHERE t.store_id = s.store_id AND t.request_id = s.request_id AND t.type = 'overage')
                THEN 'overage' WHEN s.shopper_email IS NOT NULL THEN 'shopper' ELSE 'store' END,
           s.shopper_email,
           EXISTS (SELECT FROM wearon_worker.refunds r WHERE r.session_id = s.id)
           OR EXISTS (SELECT FROM public.store_credit_transactions t
                      WHERE t.store_id = s.store_id AND t.type = 'refund'
                        AND t.request_id = coalesce(s.request_id, s.id::text))
    FROM public.store_generation_sessions s
) a
"""


def ledger_faults(connection: psycopg.Connection[Any]) -> list[str]:
    """Everything wrong with credits at this moment, in words; empty when the invariant holds."""
    searches = " UNION ALL ".join(f"SELECT %s, x::text FROM ({rows}) AS found(x)" for rows in FAULTS.values())  # noqa: S608 - constants
    query = f"WITH audit_sessions AS ({SESSIONS}) {searches}"
    found = connection.execute(query.encode(), list(FAULTS)).fetchall()
    return [f"{fault}: {what}" for fault, what in found]


def platform_expires(connection: psycopg.Connection[Any], session: SessionRef, *, refund_first: bool = False) -> bool:
    """The platform's own job on one session: mark it failed and refund it; ``False`` when it is terminal already.

    With ``refund_first`` it locks the balance before the session, the other way round than the worker does.
    """
    statements = [_EXPIRE[session.channel], _REFUND[session.channel]]
    try:
        with connection.transaction():
            for statement in reversed(statements) if refund_first else statements:
                if connection.execute(statement.encode(), [session.session_id]).rowcount == 0:
                    raise psycopg.Rollback
            return True
    except psycopg.errors.UniqueViolation:  # refunded already, so not open any more
        return False
    return False


_EXPIRE: Final = {
    Channel.B2C: "UPDATE generation_sessions SET status = 'failed', error_message = 'This took too long.'"
    " WHERE id = %s AND status NOT IN ('completed', 'failed')",
    Channel.B2B: "UPDATE store_generation_sessions SET status = 'failed', error_message = 'This took too long.'"
    " WHERE id = %s AND status NOT IN ('completed', 'failed')",
}
_REFUND: Final = {
    Channel.B2C: "SELECT refund_credits(s.user_id, s.credits_used) FROM generation_sessions s WHERE s.id = %s",
    Channel.B2B: """
        SELECT CASE
          WHEN s.shopper_email IS NOT NULL
            THEN refund_store_shopper_credits(s.store_id, s.shopper_email, s.credits_used, s.request_id)
          WHEN EXISTS (SELECT FROM store_credit_transactions t
                       WHERE t.store_id = s.store_id AND t.request_id = s.request_id AND t.type = 'deduction')
            THEN refund_store_credits(s.store_id, s.credits_used, s.request_id)
          END
        FROM store_generation_sessions s WHERE s.id = %s""",
}
