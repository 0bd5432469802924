"""The evaluator of ours does what Grafana documents: states over time, who is told and when, and the signed webhook."""

import itertools
import json
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from monitoring.whatsapp_bridge.payload import parse
from monitoring.whatsapp_bridge.signature import Check, check
from proofs.observability.alerting import Alerting
from proofs.observability.evaluator import SHIPPED_FILES, Evaluator, MadeUpClock, load, main
from proofs.observability.messages import Alert, body, expand, plain_number
from proofs.observability.notifying import Message, is_within, routes_for
from proofs.observability.provisioned import LocalSpan, Matcher, Provisioned, ProvisionedRule, span
from proofs.observability.states import Answer, Instances, State, Value, next_states

SHIPPED = load(SHIPPED_FILES)
MONDAY_NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
THIRTY_SECONDS = timedelta(seconds=30)
SERIES = (("component", "redis"),)

RULE = ProvisionedRule(
    uid="too-many",
    title="Too many",
    folder="Shop",
    group="g",
    datasource_uid="prometheus",
    expression="max(tasks)",
    above=True,
    threshold=5,
    interval=THIRTY_SECONDS,
    hold=timedelta(0),
    keep_firing=timedelta(0),
    no_data="OK",
    error="KeepLast",
    labels={"severity": "critical"},
    annotations={"summary": "{{ $labels.component }} has {{ $values.A }}"},
)
BAD: Answer = [Value(SERIES, 7)]
GOOD: Answer = [Value(SERIES, 3)]
NOTHING: Answer = []
FAULT: Answer = None


def history(rule: ProvisionedRule, *answers: Answer) -> list[Instances]:
    """The states after each evaluation, half a minute apart."""
    states: list[Instances] = []
    for number, answer in enumerate(answers):
        now = MONDAY_NOON + number * rule.interval
        states.append(next_states(rule, states[-1] if states else {}, answer, now))
    return states


def course(rule: ProvisionedRule, *answers: Answer) -> list[State | None]:
    """The state of the one series after each evaluation."""
    return [next((instance.state for instance in states.values()), None) for states in history(rule, *answers)]


N, P, A = State.NORMAL, State.PENDING, State.ALERTING
ONE_MINUTE = replace(RULE, hold=timedelta(minutes=1))


def test_without_a_wait_a_rule_fires_at_once_and_is_over_at_once() -> None:
    assert course(RULE, GOOD, BAD, GOOD) == [N, A, N]


def test_a_rule_with_a_wait_fires_when_it_was_bad_for_so_long() -> None:
    assert course(ONE_MINUTE, BAD, BAD, BAD, GOOD) == [P, P, A, N]


def test_one_good_value_begins_the_wait_anew() -> None:
    assert course(ONE_MINUTE, BAD, BAD, GOOD, BAD, BAD) == [P, P, N, P, P]


def test_a_value_on_the_threshold_and_a_value_that_is_no_number_are_good() -> None:
    assert course(RULE, [Value(SERIES, 5)], [Value(SERIES, math.nan)], [Value(SERIES, math.inf)]) == [N, N, A]


def test_below_is_the_other_side() -> None:
    assert course(replace(RULE, above=False), BAD, GOOD) == [N, A]


@pytest.mark.parametrize(
    ("state", "after"),
    [("OK", [A, N, N]), ("Alerting", [A, A, A]), ("KeepLast", [A, A, A])],
)
def test_no_data_means_what_the_rule_says(state: str, after: list[State]) -> None:
    assert course(replace(RULE, no_data=state), BAD, NOTHING, NOTHING) == after


def test_no_data_from_the_beginning_waits_like_a_bad_value() -> None:
    rule = replace(ONE_MINUTE, no_data="Alerting")
    assert course(rule, NOTHING, NOTHING, NOTHING) == [P, P, A]


def test_keeping_the_last_state_goes_on_with_the_wait() -> None:
    assert course(replace(ONE_MINUTE, error="KeepLast"), BAD, FAULT, FAULT, FAULT) == [P, P, A, A]
    assert course(replace(ONE_MINUTE, error="KeepLast"), GOOD, FAULT, FAULT) == [N, N, N]


@pytest.mark.parametrize(("state", "after"), [("OK", [A, N]), ("Alerting", [A, A]), ("KeepLast", [A, A])])
def test_an_error_means_what_the_rule_says(state: str, after: list[State]) -> None:
    assert course(replace(RULE, error=state), BAD, FAULT) == after


def test_grafanas_own_states_make_an_alert_of_their_own() -> None:
    (only,) = history(replace(RULE, no_data="NoData"), NOTHING)[-1].values()
    assert (only.state, only.labels) == (State.NO_DATA, (("alertname", "DatasourceNoData"),))
    (only,) = history(replace(RULE, error="Error"), FAULT)[-1].values()
    assert (only.state, only.labels) == (State.ERROR, (("alertname", "DatasourceError"),))


def test_a_series_that_is_missing_twice_while_others_are_there_is_over() -> None:
    other = Value((("component", "broker"),), 1)
    states = history(RULE, [Value(SERIES, 7), other], [other], [other], [other])
    assert [after[SERIES].state if SERIES in after else None for after in states] == [A, A, N, N]
    assert states[2][SERIES].resolved is not None


def test_a_rule_may_keep_firing_for_a_while() -> None:
    rule = replace(RULE, keep_firing=timedelta(minutes=1))
    assert course(rule, BAD, GOOD, GOOD, GOOD) == [A, State.RECOVERING, State.RECOVERING, N]
    assert course(rule, BAD, GOOD, BAD) == [A, State.RECOVERING, A]


# --- Who is told ------------------------------------------------------------------------------------------------------


def an_alert(name: str = "a", **labels: str) -> Alert:
    there = {"alertname": name, "severity": "critical", "component": "redis"} | labels
    return Alert({key: value for key, value in there.items() if value}, {"summary": name}, 1.0, MONDAY_NOON)


class Told:
    """The shipped policy, with a clock of its own that goes by the second."""

    def __init__(self, start: datetime = MONDAY_NOON) -> None:
        self.alerting = Alerting(SHIPPED)
        self.start = self.now = start
        self.messages: list[tuple[float, str, list[tuple[str, str]]]] = []
        self.refuses = False

    def put(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.alerting.notifier.put(replace(alert, starts=self.now), self.now)

    def over(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.alerting.notifier.put(replace(alert, ends=self.now), self.now)

    def until(self, **after: float) -> "Told":
        while self.now < self.start + timedelta(**after):
            for message in self.alerting.notifier.due(self.now):
                self._deliver(message)
            self.now += timedelta(seconds=1)
        return self

    def _deliver(self, message: Message) -> None:
        if self.refuses and message.receiver == "whatsapp":
            return
        said = [(alert.labels["alertname"], "over" if alert.ends else "fires") for alert in message.alerts]
        self.messages.append(((self.now - self.start).total_seconds(), message.receiver, said))
        self.alerting.notifier.delivered(message, self.now)

    def to(self, receiver: str) -> list[tuple[float, list[tuple[str, str]]]]:
        return [(at, said) for at, whom, said in self.messages if whom == receiver]


def receivers(**labels: str) -> list[str]:
    return [route.receiver for route in routes_for(SHIPPED.root, an_alert(**labels).labels)]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"severity": "critical"}, ["email", "whatsapp"]),
        ({"severity": "critical", "component": "whatsapp"}, ["email", "whatsapp"]),
        ({"severity": "warning"}, ["whatsapp"]),
        ({"severity": "warning", "component": "whatsapp"}, ["email", "whatsapp"]),
        ({"severity": "warning", "hours": "business"}, ["whatsapp"]),
        ({"severity": "heartbeat"}, ["deadman", "whatsapp"]),
        ({"severity": ""}, ["whatsapp"]),
    ],
)
def test_everything_goes_to_whatsapp_and_some_to_others_as_well(labels: dict[str, str], told: list[str]) -> None:
    assert receivers(**labels) == told


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.uid)
def test_no_rule_is_left_to_the_root_of_the_policy(rule: ProvisionedRule) -> None:
    assert SHIPPED.root not in routes_for(SHIPPED.root, rule.labels)


def test_a_critical_alert_is_told_after_ten_seconds_and_again_every_hour() -> None:
    told = Told()
    told.put(an_alert())
    times = [at for at, _ in told.until(hours=2, minutes=5).to("whatsapp")]
    assert times == [10, 3610, 7210]


def test_other_series_of_one_part_are_one_message_and_other_parts_are_others() -> None:
    told = Told()
    told.put(an_alert(instance="1"), an_alert(instance="2"), an_alert(component="broker"))
    assert [len(said) for _, said in told.until(seconds=30).to("whatsapp")] == [2, 1]


def test_the_end_is_told_within_a_minute_and_once() -> None:
    told = Told()
    told.put(an_alert())
    told.until(minutes=5)
    told.over(an_alert())
    assert told.until(minutes=30).to("whatsapp")[1:] == [(310, [("a", "over")])]


def test_what_is_over_before_it_was_told_is_not_told() -> None:
    told = Told()
    told.put(an_alert())
    told.until(seconds=5)
    told.over(an_alert())
    assert told.until(minutes=10).to("whatsapp") == []


def test_warnings_are_one_message_after_a_minute_and_later_ones_within_three() -> None:
    told = Told()
    told.put(an_alert("a", severity="warning"))
    told.until(seconds=30)
    told.put(an_alert("b", severity="warning", component="host"))
    told.until(seconds=90)
    told.put(an_alert("c", severity="warning", component="nginx"))
    messages = told.until(minutes=10).to("whatsapp")
    assert [(at, len(said)) for at, said in messages] == [(60, 2), (240, 3)]


def test_a_message_that_was_not_taken_is_sent_again_a_minute_later() -> None:
    told = Told()
    told.refuses = True
    told.put(an_alert())
    told.until(seconds=60)
    told.refuses = False
    assert told.until(seconds=130).to("whatsapp") == [(70, [("a", "fires")])]


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (datetime(2026, 11, 30, 12, 0, tzinfo=UTC), 60),
        (datetime(2026, 11, 30, 9, 0, tzinfo=UTC), 30 * 60),
        (datetime(2026, 7, 6, 8, 0, tzinfo=UTC), 30 * 60),  # summer time: 9:00 in London
    ],
)
def test_what_is_for_business_hours_waits_for_them_in_local_time(start: datetime, first: float) -> None:
    told = Told(start)
    told.put(an_alert(severity="warning", hours="business"))
    ((at, _), *_) = told.until(minutes=40).to("whatsapp")
    assert first <= at <= first + 180


@pytest.mark.parametrize("start", [datetime(2026, 11, 29, 12, tzinfo=UTC), datetime(2026, 11, 30, 19, tzinfo=UTC)])
def test_what_is_for_business_hours_is_not_told_on_sunday_or_in_the_evening(start: datetime) -> None:
    told = Told(start)
    told.put(an_alert(severity="warning", hours="business"))
    assert told.until(hours=1).to("whatsapp") == []


def test_the_switch_calls_every_five_minutes_and_writes_once_each_morning() -> None:
    told = Told(datetime(2026, 11, 30, 12, 0, tzinfo=UTC))
    told.put(an_alert(severity="heartbeat", component="alerting"))
    told.until(days=3)
    calls = [at for at, _ in told.to("deadman")]
    assert {later - earlier for earlier, later in itertools.pairwise(calls)} == {300}
    mornings = [(told.start + timedelta(seconds=at)).strftime("%d %H") for at, _ in told.to("whatsapp")]
    assert mornings == ["01 08", "02 08", "03 08"]


def test_local_time_decides_whether_a_moment_is_in_a_span() -> None:
    evening = [LocalSpan(18 * 60, 24 * 60, frozenset({6}), "Asia/Karachi")]
    assert is_within(evening, datetime(2026, 11, 29, 13, 0, tzinfo=UTC))
    assert not is_within(evening, datetime(2026, 11, 29, 12, 59, tzinfo=UTC))
    assert not is_within(evening, datetime(2026, 11, 30, 13, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("matcher", "labels", "matches"),
    [
        (Matcher("a", "=", "b"), {"a": "b"}, True),
        (Matcher("a", "!=", "b"), {}, True),
        (Matcher("a", "=~", "b|c"), {"a": "c"}, True),
        (Matcher("a", "=~", "b"), {"a": "bb"}, False),
        (Matcher("a", "!~", "b.*"), {"a": "bb"}, False),
    ],
)
def test_a_matcher_is_about_the_whole_value(matcher: Matcher, labels: Mapping[str, str], *, matches: bool) -> None:
    assert matcher.matches(labels) is matches


def test_a_span_of_time_is_read() -> None:
    assert span("1h30m") == timedelta(minutes=90)
    assert span("0s") == timedelta(0)


# --- What is said -----------------------------------------------------------------------------------------------------


def test_variables_are_filled_in_and_missing_ones_are_seen() -> None:
    text = "{{ $labels.part }}: {{ $values.A }}, {{ $labels.other }}"
    assert expand(text, {"part": "Redis"}, 12.5) == "Redis: 12.5, [no value]"
    assert expand(text, {}, None) == "[no value]: [no value], [no value]"


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (28.57, "28.57"), (1e12, "1000000000000"), (math.nan, "NaN"), (math.inf, "+Inf")]
)
def test_a_number_is_written_without_an_exponent(value: float, text: str) -> None:
    assert plain_number(value) == text


def test_the_bridge_reads_the_body() -> None:
    fires, over = an_alert("a"), replace(an_alert("b"), ends=MONDAY_NOON + THIRTY_SECONDS)
    said = body(receiver="whatsapp", alerts=[over, fires], group_labels={"component": "redis"}, key="{}:{}",
                external_url="https://worker.example.com/grafana/")  # fmt: skip
    read = parse(said)
    assert (read.status, [alert.status for alert in read.alerts]) == ("firing", ["firing", "resolved"])
    assert read.common_labels == {"severity": "critical", "component": "redis"}
    assert read.alerts[0].fingerprint != read.alerts[1].fingerprint


def test_a_fingerprint_is_of_the_labels_alone() -> None:
    assert an_alert().fingerprint == replace(an_alert(), value=2, annotations={}).fingerprint
    assert an_alert(x="1").fingerprint != an_alert(x="2").fingerprint


# --- At work ----------------------------------------------------------------------------------------------------------


class StandIns(BaseHTTPRequestHandler):
    """Stand-ins of Prometheus and of the bridge: answers by the moment that is asked for, and keeps what is posted."""

    begins: ClassVar[float]
    taken: ClassVar[list[tuple[dict[str, str], bytes]]]

    def do_GET(self) -> None:
        moment = float(self.path.rpartition("time=")[2])
        value = 0 if 60 <= moment - self.begins < 600 else 1
        found = [{"metric": {"component": "redis", "part": "Redis"}, "value": [moment, str(value)]}]
        self._answer({"status": "success", "data": {"resultType": "vector", "result": found}})

    def do_POST(self) -> None:
        self.taken.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer({})

    def _answer(self, document: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def stand_ins() -> Iterator[str]:
    StandIns.begins, StandIns.taken = MONDAY_NOON.timestamp(), []
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIns) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_hour_at_work_tells_of_redis_and_of_its_end_signed_as_the_bridge_wants_it(stand_ins: str) -> None:
    evaluator = Evaluator(
        SHIPPED_FILES, stand_ins, f"{stand_ins}/grafana", "s3cret", clock=MadeUpClock(MONDAY_NOON),
        only=frozenset({"worker-degraded"}),
    )  # fmt: skip
    evaluator.run(MONDAY_NOON + timedelta(hours=1))
    assert [parse(said).status for _, said in StandIns.taken] == ["firing", "resolved"]
    headers, said = StandIns.taken[0]
    stamp, sign = headers["X-Grafana-Alerting-Timestamp"], headers["X-Grafana-Alerting-Signature"]
    assert check("s3cret", timestamp=stamp, signature=sign, body=said, now_seconds=float(stamp)) is Check.GENUINE
    assert parse(said).alerts[0].annotations["summary"] == "Does not work for 2 minutes: Redis."
    after = (evaluator.posted[1].at - MONDAY_NOON).total_seconds()
    assert 60 + 120 + 10 <= after <= 60 + 30 + 120 + 10 + 2
    assert [(message.receiver, message.taken) for message in evaluator.posted] == [
        ("email", None), ("whatsapp", True), ("email", None), ("whatsapp", True)
    ]  # fmt: skip


def test_without_prometheus_one_rule_tells_and_the_others_keep_still(unused_address: str) -> None:
    evaluator = Evaluator(
        SHIPPED_FILES, unused_address, f"{unused_address}/grafana", "s3cret", clock=MadeUpClock(MONDAY_NOON)
    )
    evaluator.run(MONDAY_NOON + timedelta(minutes=3))
    assert {title for message in evaluator.posted for title, _ in message.alerts} == {"Prometheus does not answer"}


@pytest.fixture
def unused_address() -> str:
    """Nobody listens on the discard port of loopback."""
    return "http://127.0.0.1:9"


def test_the_shipped_files_are_read_whole() -> None:
    assert isinstance(SHIPPED, Provisioned)
    assert {route.receiver for route in SHIPPED.root.routes} == set(SHIPPED.receivers)
    assert all(rule.interval == THIRTY_SECONDS for rule in SHIPPED.rules)
    assert Path(SHIPPED_FILES).is_dir()


def test_the_command_says_which_secret_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WHATSAPP_WEBHOOK_SECRET", raising=False)
    assert main(["--prometheus", "http://127.0.0.1:9", "--webhook", "http://127.0.0.1:9/grafana"]) == 78
    assert "WHATSAPP_WEBHOOK_SECRET is missing" in capsys.readouterr().err


def test_the_command_works_for_a_while_and_says_what_it_posts(
    stand_ins: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "s3cret")
    assert main(["--prometheus", stand_ins, "--webhook", f"{stand_ins}/grafana", "--minutes", "0.02"]) == 0
    said = capsys.readouterr().out
    assert "the evaluator of ours works; it is not Grafana" in said
    assert "s3cret" not in said
