"""[pure] When to send next: after failures, and to one recipient."""

from typing import Final

FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 20.0
"""While Meta is away. An alert shall be there within 60 s of Meta's return, with room for a call that hangs."""

OPERATOR_RETRY_SECONDS: Final = 300.0
"""Where a person has to act first. A new token needs a restart, which tries at once; a template that is approved, or a
bill that is paid, is found within this."""

PAIR_RETRY_BASE: Final = 4.0
"""Meta asks for 4^n seconds after the n-th pair-rate answer (131056)."""

LONGEST_PAIR_RETRY_SECONDS: Final = 256.0

LONGEST_RETRY_AFTER_SECONDS: Final = 900.0
"""A longer Retry-After is not believed: alerts are too urgent to lie for a day because of one header."""

JITTER_SHARE: Final = 0.25
"""Of a wait, taken off at random, so that two bridges behind one limit do not meet again and again."""

PAIR_INTERVAL_SECONDS: Final = 6.0
"""Meta lets one number write to one recipient every 6 s in the long run."""

PAIR_BURST: Final = 30
"""Messages at once, lent from the time that follows. Meta lends 45; the rest is for what a restart or another sender of
the same number took."""


def retry_seconds(failures: int, chance: float) -> float:
    """How long everything waits after so many failures in a row, at least one; ``chance`` is from 0 to 1."""
    return _jittered(min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_RETRY_SECONDS), chance)


def pair_retry_seconds(failures: int, chance: float) -> float:
    """How long one recipient waits after so many failures in a row, at least one."""
    return _jittered(min(PAIR_RETRY_BASE ** min(failures, 10), LONGEST_PAIR_RETRY_SECONDS), chance)


def operator_seconds(chance: float) -> float:
    """How long everything waits where a person has to act."""
    return _jittered(OPERATOR_RETRY_SECONDS, chance)


def at_least(wait_seconds: float, retry_after_seconds: float | None) -> float:
    """The wait, or Meta's longer wish."""
    return max(wait_seconds, min(retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS))


def earliest(lent_until_seconds: float, now_seconds: float) -> float:
    """When the next message to a recipient may leave, whose account of lent time ends at ``lent_until_seconds``.

    No account is ever longer than a whole burst: one that looks so is of before the clock was put back.
    """
    most = PAIR_BURST * PAIR_INTERVAL_SECONDS
    return min(lent_until_seconds, now_seconds + most) - (PAIR_BURST - 1) * PAIR_INTERVAL_SECONDS


def lent_after(lent_until_seconds: float, now_seconds: float) -> float:
    """That account after one more message."""
    most = now_seconds + (PAIR_BURST - 1) * PAIR_INTERVAL_SECONDS
    return min(max(lent_until_seconds, now_seconds), most) + PAIR_INTERVAL_SECONDS


def _jittered(wait_seconds: float, chance: float) -> float:
    return wait_seconds * (1.0 - JITTER_SHARE * chance)
