"""[pure] How an executor is doing, and what is to be done about it."""

from enum import Enum
from typing import Final


class ExecutorState(Enum):
    """How an executor is doing."""

    STARTING = "starting"
    RUNNING = "running"
    CHILD_DIED = "child_died"
    NEVER_READY = "never_ready"
    CONSUMER_DIED = "consumer_died"
    LINK_DIED = "link_died"
    """Nobody reads what the child tells; it works on unseen."""
    STDERR_UNREAD = "stderr_unread"
    """Nobody reads what the child prints; it stops in the middle of a line once the pipe is full."""
    HUNG = "hung"
    DECLARED_DEAD = "declared_dead"


STATES_TO_DRAIN: Final = frozenset(
    {ExecutorState.HUNG, ExecutorState.CONSUMER_DIED, ExecutorState.LINK_DIED, ExecutorState.STDERR_UNREAD}
)
"""What runs in the Celery child is well; it may end before the executor is replaced."""

STATES_TO_REPLACE: Final = frozenset(ExecutorState) - {ExecutorState.STARTING, ExecutorState.RUNNING}
