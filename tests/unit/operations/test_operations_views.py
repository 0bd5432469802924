"""What an operator reads: whole screens, as they are printed."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest

from models.generation import Channel, SessionStatus
from operations import audit, cost, session_view, status_view
from operations.health import words_of
from operations.output import plain
from operations.replay_rules import MayNot, MayRun
from operations.search import Places
from operations.session_view import FoundSession
from operations.status import models_in
from operations.status_view import Models, QueueState, Status, WorkerState
from operations.text import PLAIN, Paint, Tone, duration
from services.platform.report_answers import (
    Activity,
    ClaimSeen,
    DayCost,
    ExecutorSeen,
    LedgerFault,
    LedgerLine,
    Story,
)
from services.turns.provider_report import Pause
from tests.support.payloads import SESSION_ID, STORE_ID, USER_ID
from tests.support.stories import EXECUTOR, LETTER, NOON, NOWHERE, REFUND, SESSION, claim, row

DEAD: Final = UUID("b07c3fa9-11d2-4f5e-8b1d-3c6a5e9f2b02")
MODELS: Final = ("gpt-image-2.6-sunburst", "gpt-image-2.6-flare")

WELL: Final = WorkerState(url="http://127.0.0.1:8000", health={"status": "ok"}, is_well=True, line="ok")
KNOWN_MODELS: Final = Models(in_use=MODELS[0], configured=MODELS, unusable={}, shutdowns={}, are_known=True)


def queue(**changed: Any) -> QueueState:
    fields: dict[str, Any] = {
        "waiting": 3,
        "oldest_seconds": 12.0,
        "in_flight": {EXECUTOR: 8},
        "dead_letters": 0,
        "pause": None,
        "turns_taken": 41,
        "turns_per_minute": 300,
    }
    return QueueState(**{**fields, **changed})


def executor(**changed: Any) -> ExecutorSeen:
    fields: dict[str, Any] = {
        "executor": EXECUTOR,
        "host": "web-1",
        "alive": True,
        "started_at": NOON,
        "lease_seconds": 41.4,
        "claims": 7,
    }
    return ExecutorSeen(**{**fields, **changed})


def activity(**changed: Any) -> Activity:
    fields: dict[str, Any] = {
        "now": NOON,
        "executors": [executor()],
        "queued": 3,
        "processing": 7,
        "oldest_open_at": NOON - timedelta(seconds=31),
        "completed": 57,
        "failed": {"moderated": 2, "image_unreachable": 1},
        "whole_p50_seconds": 21.34,
        "whole_p95_seconds": 30.16,
        "processing_p50_seconds": 20.0,
        "processing_p95_seconds": 28.0,
    }
    return Activity(**{**fields, **changed})


def status(**changed: Any) -> Status:
    fields: dict[str, Any] = {
        "at": NOON,
        "worker": WELL,
        "queue": queue(),
        "models": KNOWN_MODELS,
        "activity": activity(),
        "silent": {},
    }
    return Status(**{**fields, **changed})


def lines_of(shown: Status) -> dict[str, str]:
    """The lines by their label."""
    lines = status_view.screen(shown, PLAIN)
    return {line[:14].strip(): line[14:] for line in lines if line[:14].strip()}


class TestStatus:
    def test_a_calm_worker_on_one_screen(self) -> None:
        assert "\n".join(status_view.screen(status(), PLAIN)) == (
            """\
at            2026-11-21 12:00:00 UTC
worker        ok (http://127.0.0.1:8000)
queue         3 waiting, the oldest for 12 s
calls         go on; 41 of 300 turns of this minute used
dead letters  none
model         gpt-image-2.6-sunburst (no end announced); then gpt-image-2.6-flare (no end announced)
open          3 queued, 7 processing, the oldest for 31 s
last hour     57 completed, 3 failed (moderated 2, image_unreachable 1)
              order to picture: P50 21.3 s, P95 30.2 s (promised: below 45 s)
              the run alone:    P50 20.0 s, P95 28.0 s

EXECUTOR  HOST   IN FLIGHT  HELD  LEASE
3fa9b07c  web-1  8          7     41 s left"""
        )

    @pytest.mark.parametrize(
        ("pause", "words"),
        [
            (Pause("quota_exhausted", 42.0, is_probing=False), "quota_exhausted; the next call probes in 42 s;"),
            (Pause("quota_exhausted", 0.0, is_probing=False), "quota_exhausted; the next task probes;"),
            (Pause("quota_exhausted", 0.0, is_probing=True), "quota_exhausted; a call is just probing;"),
        ],
    )
    def test_a_pause_says_why_and_what_ends_it(self, pause: Pause, words: str) -> None:
        assert lines_of(status(queue=queue(pause=pause)))["calls"].startswith(f"PAUSED on all hosts: {words}")

    def test_what_does_not_answer_is_said_and_the_rest_is_shown(self) -> None:
        lines = lines_of(status(queue=None, silent={"redis": "Redis at r.example is away."}))
        assert lines["queue"] == "Redis at r.example is away."
        assert lines["last hour"].startswith("57 completed")
        assert lines["3fa9b07c  web-"].split()[-4:] == ["7", "41", "s", "left"]
        lines = lines_of(status(activity=None, silent={"database": "Supabase is away."}))
        assert lines["database"] == "Supabase is away."
        assert lines["queue"].startswith("3 waiting")

    def test_a_dead_executor_with_tasks_and_one_that_only_redis_knows_are_listed(self) -> None:
        shown = status(
            queue=queue(in_flight={EXECUTOR: 8, DEAD: 2}),
            activity=activity(executors=[executor(alive=False, lease_seconds=-90.0)]),
        )
        *_, first, second, last = status_view.screen(shown, PLAIN)
        taken_over = "dead; the next living worker takes its work over"
        assert first.split(maxsplit=4) == ["3fa9b07c", "web-1", "8", "7", taken_over]
        assert second.split(maxsplit=4) == ["b07c3fa9", "-", "2", "-", "dead; its tasks go back to the queue"]
        assert last == "No worker is alive."

    def test_no_worker_at_all_is_no_empty_table(self) -> None:
        shown = status(queue=queue(in_flight={}), activity=activity(executors=[]))
        assert lines_of(shown)["workers"] == "none is alive"

    def test_an_hour_without_pictures_has_no_percentiles(self) -> None:
        times = dict.fromkeys(
            ("whole_p50_seconds", "whole_p95_seconds", "processing_p50_seconds", "processing_p95_seconds")
        )
        shown = "\n".join(status_view.screen(status(activity=activity(completed=0, failed={}, **times)), PLAIN))
        assert "last hour     0 completed, none failed" in shown
        assert "P95" not in shown

    def test_a_model_that_is_gone_and_one_that_ends_are_named(self) -> None:
        metrics = (
            'wearon_model_gone_total{model="gpt-image-2.6-sunburst"} 1.0\n'
            'wearon_model_gone_total{model="gpt-image-2.6-flare"} 0.0\n'
            'wearon_openai_model_usable{model="gpt-image-2.6-sunburst"} 0.0\n'
            'wearon_openai_model_usable{model="gpt-image-2.6-flare"} 1.0\n'
            'wearon_openai_model_shutdown_timestamp_seconds{model="gpt-image-2.6-flare"} 1.8e+09\n'
        )
        models = models_in(metrics, MODELS)
        assert models.in_use == "gpt-image-2.6-flare"
        assert lines_of(status(models=models))["model"] == (
            "gpt-image-2.6-sunburst (gone); then gpt-image-2.6-flare (shut down on 2027-01-15)"
        )
        assert models_in(metrics.replace("1.0", "0.0"), MODELS).in_use is None

    def test_a_model_that_is_refused_to_the_account_is_not_in_use(self) -> None:
        metrics = (
            'wearon_openai_model_usable{model="gpt-image-2.6-sunburst"} 0.0\n'
            'wearon_openai_model_usable{model="gpt-image-2.6-flare"} 1.0\n'
        )
        models = models_in(metrics, MODELS)
        assert models.in_use == "gpt-image-2.6-flare"
        assert lines_of(status(models=models))["model"] == (
            "gpt-image-2.6-sunburst (refused to the account); then gpt-image-2.6-flare (no end announced)"
        )

    def test_a_model_that_was_gone_and_is_there_again_is_in_use(self) -> None:
        metrics = (
            'wearon_model_gone_total{model="gpt-image-2.6-sunburst"} 1.0\n'
            'wearon_openai_model_usable{model="gpt-image-2.6-sunburst"} 1.0\n'
        )
        assert models_in(metrics, MODELS).in_use == "gpt-image-2.6-sunburst"

    def test_without_a_worker_the_models_are_only_what_is_configured(self) -> None:
        models = Models(in_use=None, configured=MODELS, unusable={}, shutdowns={}, are_known=False)
        assert "only the worker knows" in lines_of(status(models=models))["model"]

    def test_nothing_of_others_moves_the_cursor(self) -> None:
        hostile = status(activity=activity(executors=[executor(host="\x1b[2J")], failed={"\x1b]0;x": 1}))
        assert "\x1b" not in "\n".join(status_view.screen(hostile, PLAIN))

    def test_colours_are_put_around_the_same_text(self) -> None:
        bright = "\n".join(status_view.screen(status(), Paint(has_colour=True)))
        assert "\x1b[32mok (http://127.0.0.1:8000)\x1b[0m" in bright


class TestSession:
    def test_a_completed_store_session_on_one_screen(self) -> None:
        story = Story(
            now=NOON,
            sessions=[
                row(
                    channel=Channel.B2B,
                    owner_id=UUID(STORE_ID),
                    request_id="r-1",
                    status=SessionStatus.COMPLETED,
                    completed_at=NOON - timedelta(minutes=2, seconds=37),
                    processing_time_ms=21_500,
                    input_tokens=3200,
                    output_tokens=1056,
                    estimated_cost_usd=Decimal("0.061300"),
                    has_picture=True,
                )
            ],
            claims=[claim(channel=Channel.B2B, outcome="completed", settled_at=NOON)],
            ledger=[LedgerLine(channel=Channel.B2B, type="deduction", amount=-1, is_shopper=True, written_at=NOON)],
        )
        found = FoundSession(SESSION, story, NOWHERE, MayNot("It is completed."))
        assert "\n".join(session_view.screen(found, PLAIN)) == (
            f"""\
session       {SESSION_ID}
row           completed (b2b)
              store {STORE_ID}, request r-1
              ordered 2026-11-21 11:57:00 UTC, ended 23 s later, the run alone 22 s
              picture stored, about 0.0613 USD (3200 tokens in, 1056 out)
              1 credit charged
ledger        deduction -1, a shopper's balance, 2026-11-21 12:00:00 UTC
run           completed at 2026-11-21 12:00:00 UTC, attempt 1 of 2
task          in no list
replay        no. It is completed.
log           docker compose logs --no-log-prefix worker | grep {SESSION_ID}"""
        )

    def test_a_failed_one_says_what_the_person_was_told_and_what_went_back(self) -> None:
        story = Story(
            now=NOON,
            sessions=[row(status=SessionStatus.FAILED, error_message="Please try\nagain.", given_back=True)],
            refunds=[REFUND],
        )
        shown = session_view.screen(FoundSession(SESSION, story, NOWHERE, MayNot("It has failed.")), PLAIN)
        assert '              told: "Please try\\nagain."' in shown
        assert "              1 credit charged, given back" in shown
        assert "refund        user_credit, 1 credit, 2026-11-21 12:00:00 UTC, because: moderated" in shown

    @pytest.mark.parametrize(
        ("seen", "words"),
        [
            (
                claim(executor=EXECUTOR, host="web-1", alive=True, rate_limited=1),
                "executor 3fa9b07c on web-1 (alive) since 2026-11-21 11:58:00 UTC, attempt 1 of 2, sent back 1 time by",
            ),
            (claim(executor=EXECUTOR, host=None, alive=False), "executor 3fa9b07c (dead) since"),
            (claim(attempt=0), "nobody has it, attempt 0 of 2"),
        ],
    )
    def test_who_runs_it(self, seen: ClaimSeen, words: str) -> None:
        story = Story(now=NOON, sessions=[row()], claims=[seen])
        shown = session_view.screen(FoundSession(SESSION, story, NOWHERE, None), PLAIN)
        assert any(line.startswith(f"run           {words}") for line in shown)

    def test_where_its_task_is(self) -> None:
        story = Story(now=NOON, sessions=[row()])
        places = Places(is_waiting=True, in_flight=(EXECUTOR,), letters=(LETTER,), is_complete=True)
        shown = session_view.screen(FoundSession(SESSION, story, places, MayRun(LETTER)), PLAIN)
        assert "task          waits in the queue, in flight at executor 3fa9b07c" in shown
        assert f"dead letter   {LETTER.letter_id}, bad_task, 2026-11-21T12:00:00+00:00" in shown
        assert f"replay        it may run again: wearon replay {SESSION_ID}" in shown

    def test_nobody_knows_it(self) -> None:
        found = FoundSession(SESSION, Story(now=NOON), NOWHERE, MayNot("There is no such session."))
        assert not found.is_known
        assert "row           none: no such session in the database" in session_view.screen(found, PLAIN)

    def test_without_redis_the_rest_is_shown(self) -> None:
        found = FoundSession(SESSION, Story(now=NOON, sessions=[row()]), None, None, "Redis is away.")
        shown = session_view.screen(found, PLAIN)
        assert "task          Redis is away." in shown
        assert "row           queued (b2c)" in shown


class TestAudit:
    def test_right_books_are_one_sentence(self) -> None:
        [line] = audit.screen([], NOON, PLAIN)
        assert line == "The credits are right: of all sessions since 2026-11-21 12:00:00 UTC, none breaks the rule."

    def test_each_fault_is_a_line(self) -> None:
        faults = [
            LedgerFault(
                rule="lost",
                channel=Channel.B2B,
                owner_id=UUID(STORE_ID),
                shopper_email=None,
                session_id=SESSION,
                proof="request",
                fault="failed, 1 deducted, nothing given back",
            ),
            LedgerFault(
                rule="given_back_twice",
                channel=Channel.B2C,
                owner_id=UUID(USER_ID),
                shopper_email=None,
                session_id=None,
                proof="account",
                fault="deducted 1, given back 2",
            ),
        ]
        head, first, second, _, last = audit.screen(faults, NOON, PLAIN)
        assert head.split() == ["RULE", "CHANNEL", "SESSION", "OR", "OWNER", "PROOF", "FAULT"]
        assert SESSION_ID in first
        assert f"user {USER_ID}" in second
        assert last.startswith("The credits are not right: 2 faults since")


class TestCost:
    DAYS: Final = (
        DayCost(
            day=date(2026, 11, 20),
            channel=Channel.B2C,
            pictures=2,
            unpriced=0,
            input_tokens=6400,
            output_tokens=2112,
            estimated_cost_usd=Decimal("0.122600"),
        ),
        DayCost(
            day=date(2026, 11, 21),
            channel=Channel.B2B,
            pictures=2,
            unpriced=1,
            input_tokens=3200,
            output_tokens=1056,
            estimated_cost_usd=Decimal("0.061300"),
        ),
    )

    def test_each_day_and_the_sum_which_is_called_an_estimate(self) -> None:
        assert "\n".join(cost.screen(self.DAYS, NOON, PLAIN)) == (
            """\
DAY         CHANNEL  PICTURES  TOKENS IN  TOKENS OUT  USD (estimate)
2026-11-20  b2c      2         6400       2112        0.1226
2026-11-21  b2b      2         3200       1056        0.0613

4 pictures since 2026-11-21 12:00:00 UTC: about 0.18 USD, 0.0613 each (estimate).
1 picture without an estimate, not in the sum."""
        )

    def test_nothing_is_a_sentence(self) -> None:
        assert list(cost.screen([], NOON, PLAIN)) == ["No picture was completed since 2026-11-21 12:00:00 UTC."]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"status": "ok", "degraded": [], "draining": True}, "ok (draining)"),
        ({"status": "degraded", "degraded": ["redis", "consumer"]}, "degraded: redis, consumer"),
        ({"status": "degraded", "degraded": [], "starting": True}, "degraded (starting)"),
    ],
)
def test_health_is_one_line(body: dict[str, Any], line: str) -> None:
    assert words_of(body) == line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (4.24, "4.2 s"), (31, "31 s"), (180, "3 min"), (3 * 3600, "3 h"), (4 * 86_400, "4 days")],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("is_terminal", "environment", "has_colour"),
    [
        pytest.param(True, {"TERM": "xterm"}, True, id="a terminal"),
        pytest.param(False, {"TERM": "xterm"}, False, id="a pipe"),
        pytest.param(True, {"TERM": "dumb"}, False, id="a dumb terminal"),
        pytest.param(True, {}, False, id="no terminal said"),
        pytest.param(True, {"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR"),
    ],
)
def test_colours_only_where_they_can_be_seen(
    *, is_terminal: bool, environment: dict[str, str], has_colour: bool
) -> None:
    painted = Paint.chosen(is_terminal=is_terminal, environment=environment)("text", Tone.BAD)
    assert painted == ("\x1b[31mtext\x1b[0m" if has_colour else "text")


def test_programs_get_plain_values_without_secrets_and_nothing_that_is_not_meant_to_be_shown() -> None:
    shown = plain({"at": NOON, "cost": Decimal("0.10"), "by": {EXECUTOR: 1}, "url": "https://x.test/p?token=abc"})
    assert shown == {
        "at": "2026-11-21T12:00:00+00:00",
        "cost": "0.10",
        "by": {str(EXECUTOR): 1},
        "url": "https://x.test/p?[redacted]",
    }
    with pytest.raises(TypeError):
        plain(object())
