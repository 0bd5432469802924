"""[pure] How the lists of a queue are called in Redis.

For the queue ``generation``, whose names are those of the platform's contract and of every release so far:

``wearon:tasks:generation``            the producer's list: LPUSH on the left, taken from the right
``wearon:tasks:inflight:<executor>``   copies of the tasks an executor took and did not finish; newest on the left
``wearon:tasks:executors``             which in-flight lists there are
``wearon:tasks:dead``                  elements that are no tasks, with the reason and the time; newest on the left
``wearon:tasks:dead:<letter>``         an element too long to be in its letter: a list of this one element

Another queue has ``wearon:tasks:<name>`` and all that is the worker's own below it: ``wearon:tasks:<name>:inflight:…``.
What is in flight or dead of one queue can so never be put back into another.
"""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

FIRST_QUEUE: Final = "generation"

_ROOT: Final = "wearon:tasks"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TAKEN: Final = frozenset({"inflight", "executors", "dead"})
"""What stands in a queue's place in the names of the first."""


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The names of one queue's lists."""

    queue: str
    below: str

    @classmethod
    def of(cls, name: str) -> "QueueKeys":
        """The names for a queue.

        Raises:
            ValueError: no queue can be called so.
        """
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ValueError(f"no queue can be called {name!r}")
        queue = f"{_ROOT}:{name}"
        return cls(queue, _ROOT if name == FIRST_QUEUE else queue)

    @property
    def executors(self) -> str:
        """Which in-flight lists there are."""
        return f"{self.below}:executors"

    @property
    def dead_letters(self) -> str:
        """The dead letters."""
        return f"{self.below}:dead"

    def in_flight(self, executor: UUID) -> str:
        """The list of what an executor took and did not finish."""
        return f"{self.below}:inflight:{executor}"

    def set_aside(self, letter_id: str) -> str:
        """Where the element of a letter is, when it is too long to be in the letter."""
        return f"{self.below}:dead:{letter_id}"
