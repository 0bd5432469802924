"""What may run again, how far back an operator may look, and where a task is looked for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from models.generation import Channel, SessionStatus
from operations.replay_rules import MayNot, MayRun, judge
from operations.search import SEARCH_SECONDS, find
from operations.since import NotATime, parse_since
from services.platform.report_answers import ClaimSeen, SessionSeen, Story
from services.queue.task_queue import TaskQueue
from tests.support.payloads import SESSION_ID, STORE_ID, b2b, b2c, encode
from tests.support.stories import EXECUTOR, LETTER, NOON, NOWHERE, REFUND, SESSION, claim, row
from worker.dead_letters import DeadLetter
from worker.settlement.policy import ATTEMPT_LIMIT

OURS: Final = encode(b2c())
OTHERS: Final = encode(b2c(session_id=STORE_ID))
IN_A_LETTER: Final = replace(NOWHERE, letters=(LETTER,))


def story(session: SessionSeen | None = None, *claims: ClaimSeen, **changed: Any) -> Story:
    return Story(now=NOON, sessions=[session or row()], claims=list(claims), **changed)


def letter(element: bytes) -> DeadLetter:
    return DeadLetter.about(
        element, reason="bad_task", detail="why", buried_at=NOON, session_ids=(SESSION,), request_id=None
    )


class TestReplay:
    """Only an open session whose charge stands, whom nobody has, and whose task is in a dead letter."""

    @pytest.mark.parametrize("status", [SessionStatus.PENDING, SessionStatus.QUEUED, SessionStatus.PROCESSING])
    @pytest.mark.parametrize("claims", [(), (claim(),), (claim(executor=EXECUTOR, alive=False),)])
    def test_an_open_session_in_a_letter_may_run(self, status: SessionStatus, claims: tuple[ClaimSeen, ...]) -> None:
        assert judge(story(row(status=status), *claims), IN_A_LETTER) == MayRun(LETTER)

    @pytest.mark.parametrize(
        ("told", "places", "why"),
        [
            (Story(now=NOON), IN_A_LETTER, "no such session"),
            (story(row(status=SessionStatus.COMPLETED)), IN_A_LETTER, "the credit is spent"),
            (story(row(status=SessionStatus.FAILED)), IN_A_LETTER, "It has failed."),
            (
                story(row(status=SessionStatus.FAILED, given_back=True), refunds=[REFUND]),
                IN_A_LETTER,
                "failed (moderated), and 1 credit went back at 2026-11-21 12:00:00 UTC. A run now would be for nothing",
            ),
            (story(row(given_back=True)), IN_A_LETTER, "given back already"),
            (story(None, claim(executor=EXECUTOR, host="web-1", alive=True)), IN_A_LETTER, "3fa9b07c on web-1 runs it"),
            (story(), replace(IN_A_LETTER, is_waiting=True), "waits in the queue already"),
            (story(), replace(IN_A_LETTER, in_flight=(EXECUTOR,)), "in flight at executor 3fa9b07c"),
            (story(None, claim(attempt=ATTEMPT_LIMIT)), IN_A_LETTER, "had its 2 attempts"),
            (story(), NOWHERE, "in no list, and only the task says which pictures"),
            (story(), replace(NOWHERE, is_complete=False), "not where there was time to look"),
            (
                story(),
                replace(NOWHERE, letters=(letter(encode(b2c())[:-1]),)),
                "bury again: cannot be read as JSON",
            ),
            (
                story(),
                replace(NOWHERE, letters=(replace(LETTER, element_key="k", text=None, detail="too long"),)),
                "would bury again: too long",
            ),
            (story(), replace(NOWHERE, letters=(letter(encode(b2b())),)), "names another owner"),
            (story(), replace(NOWHERE, letters=(letter(encode(b2c(user_id=STORE_ID))),)), "names another owner"),
        ],
    )
    def test_everything_else_is_refused_with_the_reason(self, told: Story, places: Any, why: str) -> None:
        verdict = judge(told, places)
        assert isinstance(verdict, MayNot)
        assert why in verdict.why

    def test_a_claim_of_the_other_table_is_somebody_else_s(self) -> None:
        other = claim(channel=Channel.B2B, executor=EXECUTOR, alive=True)
        assert judge(story(None, other), IN_A_LETTER) == MayRun(LETTER)


class TestSince:
    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("30min", NOON - timedelta(minutes=30)),
            ("24h", NOON - timedelta(days=1)),
            ("7d", NOON - timedelta(days=7)),
            ("2w", NOON - timedelta(days=14)),
            ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
            ("2026-11-21T11:30+01:00", datetime(2026, 11, 21, 10, 30, tzinfo=UTC)),
        ],
    )
    def test_a_time_before_now(self, text: str, meant: datetime) -> None:
        assert parse_since(text, NOON) == meant

    @pytest.mark.parametrize("text", ["", "yesterday", "7", "d", "-7d", "2026-13-01", "2026-12-01"])
    def test_what_is_no_time_or_still_to_come_is_refused(self, text: str) -> None:
        with pytest.raises(NotATime):
            parse_since(text, NOON)


class Lists(TaskQueue):
    """Lists as they are read, page by page."""

    def __init__(self, waiting: list[list[bytes]], in_flight: list[list[bytes]], letters: list[bytes]) -> None:
        self._lists = (waiting, in_flight, letters)

    def waiting(self, limits: Any) -> Iterator[Any]:
        return iter(self._lists[0])

    def in_flight(self, executor: UUID, limits: Any) -> Iterator[Any]:
        return iter(self._lists[1])

    def executors(self) -> list[UUID]:
        return [EXECUTOR]

    def dead_letters(self) -> Iterator[bytes]:
        return iter(self._lists[2])


def clock(step_seconds: float) -> Callable[[], float]:
    """Each look at it takes this long."""
    times = (step_seconds * number for number in range(1_000))
    return lambda: next(times)


class TestSearch:
    def test_it_is_found_wherever_it_is(self) -> None:
        found = find(Lists([[OTHERS], [OURS]], [[OURS]], [b"garbage", LETTER.encode()]), SESSION, clock(0))
        assert found.is_waiting
        assert found.in_flight == (EXECUTOR,)
        assert [each.session_ids for each in found.letters] == [(SESSION_ID,)]

    def test_another_s_is_not_taken_for_it(self) -> None:
        other = replace(LETTER, session_ids=(STORE_ID,))
        assert find(Lists([[OTHERS]], [[OTHERS]], [other.encode()]), SESSION, clock(0)) == NOWHERE

    def test_a_long_queue_is_not_read_for_ever_and_that_is_told(self) -> None:
        pages = [[OTHERS]] * 100 + [[OURS]]
        found = find(Lists(pages, [], []), SESSION, clock(SEARCH_SECONDS / 10))
        assert not found.is_waiting
        assert not found.is_complete

    def test_a_long_queue_takes_no_time_away_from_the_letters(self) -> None:
        letters = [replace(LETTER, session_ids=(STORE_ID,)).encode(), LETTER.encode()]
        found = find(Lists([[OTHERS]] * 100, [], letters), SESSION, clock(SEARCH_SECONDS / 10))
        assert len(found.letters) == 1
