"""Which open sessions have lost their task."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from models.generation import Channel, SessionRef
from worker.recovery.lost_sessions import Verdict, judge

A = SessionRef(Channel.B2C, UUID(int=1))
B = SessionRef(Channel.B2B, UUID(int=2))
SAME_ID_AS_A = SessionRef(Channel.B2B, A.session_id)


def verdict(lost: Sequence[SessionRef] = (), suspects: Sequence[SessionRef] = ()) -> Verdict:
    return Verdict(tuple(lost), frozenset(suspects))


CASES = [
    pytest.param([], [], [], verdict(), id="nothing is open"),
    pytest.param([A], [A], [], verdict(), id="its task exists"),
    pytest.param([A], [], [], verdict(suspects=[A]), id="missed for the first time: suspected only"),
    pytest.param([A], [], [A], verdict(lost=[A]), id="missed twice running: lost"),
    pytest.param([A], [A], [A], verdict(), id="found again after it was missed: cleared"),
    pytest.param([], [], [A], verdict(), id="suspected but settled or claimed since: forgotten"),
    pytest.param([A, B], [B], [A, B], verdict(lost=[A]), id="one lost, one alive"),
    pytest.param([A, B], [], [B], verdict(lost=[B], suspects=[A]), id="one lost, one suspected"),
    pytest.param([A], [], [SAME_ID_AS_A], verdict(suspects=[A]), id="suspicion is for one table only"),
    pytest.param([A], [B], [A], verdict(lost=[A]), id="another session's task is no task of this one"),
]


@pytest.mark.parametrize(("unowned", "with_task", "suspects", "expected"), CASES)
def test_a_session_is_lost_only_after_two_rounds_without_a_task(
    unowned: list[SessionRef], with_task: list[SessionRef], suspects: list[SessionRef], expected: Verdict
) -> None:
    assert judge(unowned, {session.session_id for session in with_task}, suspects) == expected


def test_a_session_missed_in_every_other_round_is_never_lost() -> None:
    suspects: frozenset[SessionRef] = frozenset()
    for with_task in ([], [A.session_id]) * 5:
        judged = judge([A], with_task, suspects)
        assert judged.lost == ()
        suspects = judged.suspects
