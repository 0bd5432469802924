"""[pure] Which open sessions have lost their task.

A session is lost when nobody alive holds it, it is older than the time between the producer's insert and its push,
and its task was found neither in the queue nor in any in-flight list, in two rounds one after the other. Two,
because a task may move between the lists while they are being read.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from models.generation import SessionRef


@dataclass(frozen=True, slots=True)
class Verdict:
    """``lost`` sessions are failed and refunded; ``suspects`` were missed for the first time."""

    lost: tuple[SessionRef, ...]
    suspects: frozenset[SessionRef]


def judge(
    unowned: Collection[SessionRef],
    task_exists: Collection[UUID],
    suspects: Collection[SessionRef],
) -> Verdict:
    """Decide about open sessions that no live executor holds.

    Args:
        unowned: the sessions looked at in this round, old enough to be judged.
        task_exists: ids of all sessions for which a task was found anywhere.
        suspects: sessions missed for the first time in the round before.
    """
    missing = [session for session in unowned if session.session_id not in task_exists]
    return Verdict(
        lost=tuple(session for session in missing if session in suspects),
        suspects=frozenset(session for session in missing if session not in suspects),
    )
