"""[pure] The states of an executor, and what follows from each."""

from enum import Enum
from typing import Final


class ExecutorState(Enum):
    """The state of an executor."""

    STARTING = "starting"
    RUNNING = "running"
    CHILD_DIED = "child_died"
    NEVER_READY = "never_ready"
    CONSUMER_DIED = "consumer_died"
    LINK_DIED = "link_died"
    """The child's events are no longer read; it goes on without supervision."""
    STDERR_UNREAD = "stderr_unread"
    """The child's standard error is no longer read; the child blocks when the pipe is full."""
    HUNG = "hung"
    DECLARED_DEAD = "declared_dead"


STATES_TO_DRAIN: Final = frozenset(
    {ExecutorState.HUNG, ExecutorState.CONSUMER_DIED, ExecutorState.LINK_DIED, ExecutorState.STDERR_UNREAD}
)
"""Running tasks are not affected, and may finish before the executor is replaced."""

STATES_TO_REPLACE: Final = frozenset(ExecutorState) - {ExecutorState.STARTING, ExecutorState.RUNNING}
