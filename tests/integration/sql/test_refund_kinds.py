"""The database and the metrics know the same kinds of refund."""

import re

from sandbox.platform.producer import Producer
from worker.samples import REFUND_KINDS

KINDS_OF_THE_TABLE = """
SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint
WHERE conrelid = 'wearon_worker.refunds'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) ~ 'kind = ANY'
"""

REPEATED = "already_refunded"
"""What the functions answer for a session that was refunded before; no row has it."""


def test_every_kind_that_a_refund_can_have_is_counted_from_the_start(platform: Producer) -> None:
    kinds = set(re.findall(r"'(\w+)'::text", platform.value(KINDS_OF_THE_TABLE)))
    assert "user_credit" in kinds
    assert kinds | {REPEATED} == set(REFUND_KINDS)
