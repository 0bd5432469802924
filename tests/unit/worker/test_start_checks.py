"""Waiting inside for what is away when the worker starts."""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import pytest
from structlog.testing import capture_logs

from models.failures import PlatformRefused, PlatformUnavailable
from models.health import Component
from services.platform.supabase_client import SCHEMA_VERSION, SupabaseClient
from services.queue.connection import connect
from tests.support.clock import SteppedClock
from worker.health import HealthBoard
from worker.supervision import startup
from worker.supervision.opening import OPEN_WHEN_AWAY_SECONDS, Opening
from worker.supervision.start_checks import LINE_SECONDS, PATIENCE_SECONDS, RETRY_SECONDS, Check, StartChecks
from worker.supervision.startup import StartupAway, StartupError, check_database, check_redis

PASSWORD = "the-password-in-the-url"


class Start:
    """Checks of a start on a clock that moves only while they pause."""

    def __init__(self, **looks: Callable[[], None]) -> None:
        self.clock = SteppedClock()
        self.board = HealthBoard()
        self.board.starting(value=True)
        self.opening = Opening(self.board.report, now=self.clock)
        checks = [Check(Component(name), look) for name, look in looks.items()]
        self.checks = StartChecks(checks, self.board, self.opening, now=self.clock, pause=self.clock.advance)


def there() -> None:
    """A check that finds what it looks for."""


def away() -> None:
    raise StartupAway("REDIS_URL: Redis at redis:6379 does not answer (ConnectionError).")


def away_until(clock: Callable[[], float], seconds: float) -> Callable[[], None]:
    def look() -> None:
        if clock() < seconds:
            away()

    return look


def test_what_is_there_is_not_waited_for() -> None:
    start = Start(redis=there, database=there)
    with capture_logs() as lines:
        start.checks.wait_for_everything()
    assert ({line["event"] for line in lines}, start.clock()) == ({"part_works"}, 0)
    assert start.board.report().parts[Component.REDIS]
    start.clock.advance(OPEN_WHEN_AWAY_SECONDS)
    assert not start.opening.is_due(), "nothing is away any more"


def test_what_is_away_is_waited_for_and_told_of_every_thirty_seconds_by_name_and_in_its_own_words() -> None:
    start = Start(redis=there, database=there)
    start.checks._checks = [
        Check(Component.REDIS, there),
        Check(Component.DATABASE, away_until(start.clock, 4 * LINE_SECONDS)),
    ]
    with capture_logs() as lines:
        start.checks.wait_for_everything()
    waits = [line for line in lines if line["event"] == "start_waits"]
    assert [line["waited_seconds"] for line in waits] == [0, 30, 60, 90]
    assert [line["log_level"] for line in waits] == ["warning", "error", "error", "error"]
    assert {tuple(line["missing"]) for line in waits} == {("database",)}
    assert waits[0]["words"] == ["REDIS_URL: Redis at redis:6379 does not answer (ConnectionError)."]
    assert lines[-1]["event"] == "everything_is_there"
    assert start.clock() == 4 * LINE_SECONDS


def test_while_something_is_away_health_names_it_and_the_port_opens() -> None:
    start = Start(redis=away, broker=there, database=there)
    seen = []

    def pause(seconds: float) -> None:
        start.clock.advance(seconds)
        seen.append((start.board.report().degraded, start.opening.is_due()))
        if len(seen) == 4:
            start.checks._checks = []

    start.checks._pause = pause
    start.checks.wait_for_everything()
    assert all(Component.REDIS in degraded and Component.BROKER not in degraded for degraded, _ in seen)
    assert [due for _, due in seen] == [False, False, True, True]


def test_a_database_that_is_away_is_named_although_it_is_trusted_otherwise() -> None:
    start = Start(database=away)
    start.checks._pause = lambda _: start.checks.__setattr__("_checks", [])
    start.checks.wait_for_everything()
    assert Component.DATABASE in start.board.report().degraded


def test_it_gives_up_after_ten_minutes_with_the_words_of_what_is_away() -> None:
    start = Start(redis=there, database=away)
    with pytest.raises(StartupAway, match="does not answer"):
        start.checks.wait_for_everything()
    assert PATIENCE_SECONDS <= start.clock() <= PATIENCE_SECONDS + RETRY_SECONDS


def test_what_is_wrong_is_told_at_once_even_while_something_else_is_away() -> None:
    def wrong() -> None:
        raise StartupError("SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key.")

    start = Start(redis=away, database=wrong)
    with pytest.raises(StartupError, match="refuses the key"):
        start.checks.wait_for_everything()
    assert start.clock() == 0


def test_an_error_nobody_foresaw_in_a_check_ends_the_start() -> None:
    def broken() -> None:
        raise KeyError("a bug")

    start = Start(redis=broken)
    start.checks.start()
    start.checks._thread.join(30)
    assert start.checks.are_over()
    with pytest.raises(KeyError):
        start.checks.raise_error()


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port where nobody listens, for as long as the test takes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port where somebody listens and never answers."""
    monkeypatch.setattr(startup, "connect", partial(connect, timeout_seconds=0.2))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("port", ["nobody", "silent"])
def test_a_redis_that_does_not_answer_is_away(port: str, request: pytest.FixtureRequest) -> None:
    number = request.getfixturevalue(port)
    with pytest.raises(StartupAway) as refused:
        check_redis("CELERY_BROKER_URL", f"redis://:{PASSWORD}@127.0.0.1:{number}/0")
    assert f"CELERY_BROKER_URL: Redis at 127.0.0.1:{number}/0" in str(refused.value)
    assert PASSWORD not in str(refused.value)


class ScriptedStore:
    """Answers the question for its version."""

    def __init__(self, answer: int | Exception) -> None:
        self._answer = answer

    def schema_version(self) -> int:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "is_away"),
    [
        (PlatformUnavailable("schema_version", "ConnectError"), True),
        (PlatformRefused("schema_version", "42501"), False),
        (SCHEMA_VERSION - 1, False),
    ],
)
def test_of_a_database_only_silence_is_waited_for(answer: int | Exception, *, is_away: bool) -> None:
    with pytest.raises(StartupError) as refused:
        check_database(cast(SupabaseClient, ScriptedStore(answer)))
    assert isinstance(refused.value, StartupAway) is is_away
