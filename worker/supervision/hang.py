"""[pure] Celery hangs when a task is overdue although a thread is free and the broker takes writes all the time: it is
alive but consumes nothing (celery #8030, #9054, #10205). An outage of the broker explains a wait: counting starts anew.
"""

from typing import Final

HANG_SECONDS: Final = 30.0
"""How long a task waits until it is overdue, and from then on once more. Normally a task starts within milliseconds."""


def unexplained_since(*, overdue: bool, broker_serves: bool, since: float | None, now: float) -> float | None:
    """Since when a task has been overdue and the broker has served without a break; ``None`` when it is not so now.

    Args:
        since: the answer to the look before.
    """
    if not (overdue and broker_serves):
        return None
    return now if since is None else since


def hangs(since: float | None, now: float, hang_seconds: float = HANG_SECONDS) -> bool:
    """Whether nothing but a hang explains the wait any more."""
    return since is not None and now - since >= hang_seconds
