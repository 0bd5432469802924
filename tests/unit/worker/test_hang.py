"""When Celery counts as hung: a task is overdue, and the broker has served all the time."""

import pytest

from worker.supervision.hang import HANG_SECONDS, hangs, unexplained_since

LAST_MOMENT = HANG_SECONDS - 0.5

Look = tuple[float, bool, bool]
"""When it was, whether a task was overdue, and whether the broker served."""


def hangs_after(looks: list[Look]) -> bool:
    since: float | None = None
    for now, overdue, broker_serves in looks:
        since = unexplained_since(overdue=overdue, broker_serves=broker_serves, since=since, now=now)
    return hangs(since, looks[-1][0])


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(0, False, True), (HANG_SECONDS, False, True)], False),
        ([(0, True, True)], False),
        ([(0, True, True), (LAST_MOMENT, True, True)], False),
        ([(0, True, True), (HANG_SECONDS, True, True)], True),
        ([(0, True, True), (LAST_MOMENT, True, True), (HANG_SECONDS, True, True)], True),
        ([(0, True, False), (HANG_SECONDS, True, False)], False),
        ([(0, True, False), (1, True, True), (HANG_SECONDS, True, True)], False),
        ([(0, True, True), (1, True, False), (2, True, True), (HANG_SECONDS, True, True)], False),
        ([(0, True, True), (1, True, False), (2, True, True), (2 + HANG_SECONDS, True, True)], True),
        ([(0, True, True), (HANG_SECONDS, True, False)], False),
        ([(0, True, True), (1, False, True), (2, True, True), (HANG_SECONDS, True, True)], False),
    ],
    ids=[
        "no task is overdue",
        "a task has just become overdue",
        "a moment too early",
        "overdue all the time",
        "however often it is looked at",
        "the broker is away all the time",
        "the broker came back late",
        "an outage of the broker begins it anew",
        "a hang after an outage",
        "the broker is away now",
        "another task was overdue before",
    ],
)
def test_celery_hangs_when_a_task_is_overdue_and_no_outage_of_the_broker_explains_it(
    looks: list[Look], *, expected: bool
) -> None:
    assert hangs_after(looks) is expected
