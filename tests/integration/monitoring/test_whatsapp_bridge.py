"""The real bridge as a process, Grafana's signed posts, and a strict stand-in of Meta's Cloud API, on loopback."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from monitoring.whatsapp_bridge.message_queue import MESSAGES_MAX
from monitoring.whatsapp_bridge.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from monitoring.whatsapp_bridge.web import LARGEST_BODY_BYTES
from sandbox.whatsapp_sim import WhatsAppSim
from tests.support.whatsapp_bridge import SECRET, Bridge, notification

ANNA: Final = "+4915112345678"
BEN: Final = "+31612345678"

SOON_SECONDS: Final = 30.0
"""For what takes a moment on an idle machine."""

KILLS: Final = 6


@pytest.fixture
def sim() -> Iterator[WhatsAppSim]:
    with WhatsAppSim() as running:
        yield running


@pytest.fixture(scope="module")
def shared_sim() -> Iterator[WhatsAppSim]:
    with WhatsAppSim() as running:
        yield running


@pytest.fixture(scope="module")
def shared(shared_sim: WhatsAppSim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """One for all tests that leave it as it was; starting one takes a second."""
    with Bridge(tmp_path_factory.mktemp("shared"), shared_sim.environment(ANNA, BEN)) as running:
        yield running


@pytest.fixture
def bridge(sim: WhatsAppSim, tmp_path: Path) -> Iterator[Bridge]:
    with Bridge(tmp_path, sim.environment(ANNA, BEN)) as running:
        yield running


def heads(sim: WhatsAppSim, to: str) -> list[str]:
    """What one recipient got, a repetition of the message before left out."""
    got = [message.parameters[0].removeprefix("CRITICAL: ") for message in sim.accepted if message.to == to]
    return [name for place, name in enumerate(got) if place == 0 or got[place - 1] != name]


def counted(bridge: Bridge, series: str) -> float:
    """The value of one series."""
    (line,) = [line for line in bridge.get("/metrics").text.splitlines() if line.startswith(f"{series} ")]
    return float(line.rpartition(" ")[2])


# --- The way of an alert ----------------------------------------------------------------------------------------------


def test_an_alert_is_accepted_for_every_recipient(shared: Bridge, shared_sim: WhatsAppSim) -> None:
    before = len(shared_sim.accepted)
    answer = shared.post(notification("Redis does not answer"))
    assert (answer.status_code, answer.json()) == (200, {"result": "taken"})
    accepted = shared_sim.wait_for_accepted(before + 2, SOON_SECONDS)[before:]
    assert [message.to for message in accepted] == [ANNA, BEN]
    assert accepted[0].text.startswith("WearOn alert: CRITICAL: Redis does not answer\nHost: worker.example.com\n")
    shared.wait_for_health(status="ok", queue_messages=0)


def test_grafana_is_answered_while_meta_takes_its_time(bridge: Bridge, sim: WhatsAppSim) -> None:
    sim.hold()
    assert bridge.post(notification("slow")).status_code == 200
    said = bridge.health()
    assert (said["status"], said["queue_messages"]) == ("ok", 2), "no call to Meta has ended"
    sim.release()
    sim.wait_for_accepted(2, SOON_SECONDS)


def test_the_same_news_is_sent_once(shared: Bridge, shared_sim: WhatsAppSim) -> None:
    body, series = notification("once"), 'wearon_whatsapp_messages_total{outcome="duplicate"}'
    before = counted(shared, series)
    shared.post(body)
    again = shared.post(body | {"title": "of the second try"})
    assert (again.status_code, again.json()) == (200, {"result": "duplicate"})
    shared.wait_for_health(queue_messages=0)
    assert [message.to for message in shared_sim.accepted if message.parameters[0] == "CRITICAL: once"] == [ANNA, BEN]
    assert counted(shared, series) == before + 2


# --- Who is believed --------------------------------------------------------------------------------------------------


def test_only_grafanas_fresh_requests_are_taken(shared: Bridge, shared_sim: WhatsAppSim) -> None:
    wanted = ("unauthenticated", "replayed")
    series = [f'wearon_whatsapp_webhooks_total{{result="{result}"}}' for result in wanted]
    before = [counted(shared, one) for one in series]
    raw = json.dumps(notification("forged")).encode()
    long_ago = str(int(time.time()) - 301)
    old = {TIMESTAMP_HEADER: long_ago, SIGNATURE_HEADER: sign(SECRET, long_ago, raw)}
    answers = [
        shared.post(raw, secret="of somebody else"),
        shared.post(raw, headers={SIGNATURE_HEADER: ""}),
        shared.post(raw, headers={TIMESTAMP_HEADER: ""}),
        shared.post(raw, headers={SIGNATURE_HEADER: "0" * 64}),
        shared.post(raw, headers=old),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert "WHATSAPP_WEBHOOK_SECRET" in answers[0].json()["error"]
    assert "clock" in answers[-1].json()["error"]
    shared.wait_for_health(queue_messages=0)
    assert not [message for message in shared_sim.accepted if "forged" in message.text]
    assert [counted(shared, one) for one in series] == [before[0] + 4, before[1] + 1]


def test_a_recorded_request_has_no_effect_the_second_time(bridge: Bridge, sim: WhatsAppSim) -> None:
    raw = json.dumps(notification("recorded")).encode()
    now = str(int(time.time()))
    recorded = {TIMESTAMP_HEADER: now, SIGNATURE_HEADER: sign(SECRET, now, raw)}
    assert [bridge.post(raw, headers=recorded).json()["result"] for _ in range(2)] == ["taken", "replayed"]
    bridge.kill()
    bridge.start()
    assert bridge.post(raw, headers=recorded).json() == {"result": "replayed"}
    bridge.wait_for_health(queue_messages=0)
    assert heads(sim, ANNA) == ["recorded"]


def test_a_body_is_read_no_further_than_the_limit(shared: Bridge) -> None:
    series = 'wearon_whatsapp_webhooks_total{result="too_large"}'
    before = counted(shared, series)
    assert shared.post(b" " * (LARGEST_BODY_BYTES + 1)).status_code == 413
    with httpx.Client(base_url=f"http://127.0.0.1:{shared.port}", timeout=30.0) as client:
        endless = (b" " * 65_536 for _ in range(10_000))
        with suppress(httpx.WriteError):  # the connection is closed while we still write
            assert client.post("/grafana", content=endless).status_code == 413
    assert counted(shared, series) == before + 2


def test_what_is_no_notification_is_refused_with_clear_words(shared: Bridge) -> None:
    answers = [shared.post(body) for body in (b"", b"{", b"[]", b'{"status": "firing", "alerts": [], "groupKey": "k"}')]
    assert [answer.status_code for answer in answers] == [422] * 4
    assert "alerts" in answers[-1].json()["error"]


def test_without_a_secret_nobody_is_believed_and_it_says_so(bridge: Bridge) -> None:
    bridge.kill()
    bridge.start(WHATSAPP_WEBHOOK_SECRET="")
    answer = bridge.post(notification("unsigned"))
    assert answer.status_code == 503
    assert "WHATSAPP_WEBHOOK_SECRET" in answer.json()["error"]
    assert bridge.health()["status"] == "not_configured"


# --- Nothing is lost --------------------------------------------------------------------------------------------------


def test_killed_at_any_moment_it_loses_nothing_and_keeps_the_order(bridge: Bridge, sim: WhatsAppSim) -> None:
    taken = []
    sim.answer_after_seconds = 0.1
    for number in range(KILLS):
        name = f"news {number}"
        assert bridge.post(notification(name)).status_code == 200
        taken.append(name)
        time.sleep(number * 0.04)  # before, while and after Meta accepts the first and the second of the two
        bridge.kill()
        sim.wait_until_quiet(SOON_SECONDS)  # a call of the killed one is not taken after the next one's
        bridge.start()
    bridge.wait_for_health(queue_messages=0)
    assert heads(sim, ANNA) == taken
    assert heads(sim, BEN) == taken


def test_killed_after_metas_acceptance_it_sends_twice_rather_than_never(bridge: Bridge, sim: WhatsAppSim) -> None:
    sim.hold()
    bridge.post(notification("twice"))
    sim.wait_for_accepted(1, SOON_SECONDS)
    bridge.kill()
    sim.release()
    bridge.start()
    bridge.wait_for_health(queue_messages=0)
    assert [message.to for message in sim.accepted] == [ANNA, ANNA, BEN]


def test_while_meta_is_away_alerts_wait_also_over_a_restart(bridge: Bridge, sim: WhatsAppSim) -> None:
    sim.away()
    for name in ("one", "two"):
        assert bridge.post(notification(name)).status_code == 200
    said = bridge.wait_for_health(status="blocked")
    assert (said["reason"], said["queue_messages"]) == ("unavailable", 4)
    assert said["oldest_message_seconds"] >= 0
    bridge.kill()
    bridge.start()
    bridge.wait_for_health(status="blocked", queue_messages=4)
    sim.back()
    bridge.wait_for_health(status="ok", queue_messages=0)
    assert [heads(sim, to) for to in (ANNA, BEN)] == [["one", "two"]] * 2


def test_with_sigterm_the_message_under_way_is_ended_and_the_rest_is_kept(bridge: Bridge, sim: WhatsAppSim) -> None:
    sim.hold()
    bridge.post(notification("one"))
    sim.wait_for_accepted(1, SOON_SECONDS)
    bridge.begin_to_stop()
    bridge.wait_for_log("stopping")
    sim.release()
    assert bridge.wait_for_end() == 0
    assert [message.to for message in sim.accepted] == [ANNA]
    bridge.start()
    bridge.wait_for_health(queue_messages=0)
    assert [message.to for message in sim.accepted] == [ANNA, BEN]


# --- What Meta refuses ------------------------------------------------------------------------------------------------


def test_with_an_expired_token_alerts_wait_for_the_new_one(bridge: Bridge, sim: WhatsAppSim) -> None:
    sim.expire_token()
    bridge.post(notification("one"))
    said = bridge.wait_for_health(status="blocked")
    assert said["reason"] == "token"
    assert "WHATSAPP_ACCESS_TOKEN" in said["advice"]
    bridge.wait_for_log("nothing_is_sent")
    (line,) = bridge.log("nothing_is_sent")
    assert (line["level"], line["code"], line["result"]) == ("error", 190, "token")
    assert sim.account.token not in bridge.log_text()
    bridge.stop()
    with WhatsAppSim(token="EAA-a-new-token") as other:
        bridge.start(**other.environment(ANNA, BEN))
        bridge.wait_for_health(status="ok", queue_messages=0)
        assert heads(other, ANNA) == ["one"]


def test_a_number_that_gets_nothing_keeps_nobody_else_from_it(bridge: Bridge, sim: WhatsAppSim) -> None:
    sim.undeliverable.add(ANNA)
    for name in ("one", "two"):
        bridge.post(notification(name))
    bridge.wait_for_health(queue_messages=0)
    assert heads(sim, BEN) == ["one", "two"]
    lines = bridge.log("message_refused")
    assert [(line["code"], line["text"][0]) for line in lines] == [(131026, "CRITICAL: one"), (131026, "CRITICAL: two")]
    assert "WHATSAPP_RECIPIENTS" in lines[0]["advice"]


def test_no_log_line_has_a_number_or_a_secret(bridge: Bridge, sim: WhatsAppSim) -> None:
    for code in (131056, 131026, 999):
        sim.fail_next(code)
    for name in ("one", "two"):
        bridge.post(notification(name))
    bridge.post(notification("three"), secret="of somebody else")
    bridge.wait_for_health(within_seconds=60.0, queue_messages=0)
    log = bridge.log_text()
    assert "+491***678" in log
    assert not [part for part in (ANNA[1:], BEN[1:], SECRET, sim.account.token) if part in log]
    assert all(list(json.loads(line))[:3] == ["timestamp", "level", "event"] for line in log.splitlines())


# --- A host that is not ready -----------------------------------------------------------------------------------------


def test_a_host_without_whatsapp_keeps_its_alerts_and_says_that_nobody_is_told(
    sim: WhatsAppSim, tmp_path: Path
) -> None:
    with Bridge(tmp_path, {"WHATSAPP_ACCESS_TOKEN": "your-whatsapp-access-token"}) as bridge:
        assert bridge.get("/health").status_code == 200, "the stack starts all the same"
        said = bridge.health()
        assert said["status"] == "not_configured"
        assert [fault.split()[0] for fault in said["faults"]] == [
            "WHATSAPP_ACCESS_TOKEN",
            "WHATSAPP_PHONE_NUMBER_ID",
            "WHATSAPP_RECIPIENTS",
        ]
        assert bridge.post(notification("early")).status_code == 200
        assert "wearon_whatsapp_configured 0.0" in bridge.get("/metrics").text
        assert [line["level"] for event in ("not_configured", "alert_not_sent") for line in bridge.log(event)] == [
            "error",
            "error",
        ]
        assert bridge.log("alert_not_sent")[0]["messages"][0][0] == "CRITICAL: early"
        bridge.stop()
        bridge.start(**sim.environment(ANNA, BEN))
        sim.wait_for_accepted(2, SOON_SECONDS)
        assert [heads(sim, to) for to in (ANNA, BEN)] == [["early"], ["early"]]
        assert "wearon_whatsapp_configured 1.0" in bridge.get("/metrics").text


def test_a_queue_that_cannot_be_written_is_told_at_once_and_mends_itself(
    bridge: Bridge, sim: WhatsAppSim, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "queue.sqlite3", isolation_level=None)) as other:
        for table in ("marks", "messages"):
            other.execute(
                f"CREATE TRIGGER f_{table} BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'disk full'); END"
            )
        assert bridge.post(notification("one")).status_code == 503
        answer = bridge.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
        assert "disk full" in answer.json()["error"]
        assert bridge.run_command("health", f"--port={bridge.port}").returncode == 1
        for table in ("marks", "messages"):
            other.execute(f"DROP TRIGGER f_{table}")
    assert bridge.post(notification("one")).json() == {"result": "taken"}, "Grafana's next try"
    sim.wait_for_accepted(2, SOON_SECONDS)


def test_a_full_queue_sends_grafana_away_until_there_is_room(bridge: Bridge, sim: WhatsAppSim, tmp_path: Path) -> None:
    sim.away()
    with closing(sqlite3.connect(tmp_path / "queue.sqlite3", isolation_level=None)) as other:
        row = (ANNA, json.dumps(["h", "h", "h", "h"]), time.time())
        other.execute("BEGIN")
        other.executemany(
            "INSERT INTO messages (recipient, parameters, taken_at) VALUES (?, ?, ?)", [row] * MESSAGES_MAX
        )
        other.execute("COMMIT")
        answer = bridge.post(notification("one too many"))
        assert answer.status_code == 503
        assert "try again" in answer.json()["error"]
        assert 'webhooks_total{result="queue_full"} 1.0' in bridge.get("/metrics").text
        other.execute("DELETE FROM messages WHERE id IN (SELECT id FROM messages LIMIT 2)")
    assert bridge.post(notification("one too many")).json() == {"result": "taken"}


def test_a_queue_that_cannot_be_opened_ends_it_naming_the_file(bridge: Bridge, tmp_path: Path) -> None:
    ended = bridge.run_command("serve", "--port=0", WHATSAPP_QUEUE_PATH=str(tmp_path / "nowhere" / "queue"))
    assert ended.returncode == 78
    assert "nowhere/queue" in json.loads(ended.stdout)["error"]


# --- The command line -------------------------------------------------------------------------------------------------


def test_send_test_says_what_meta_said_to_each_number(shared: Bridge, shared_sim: WhatsAppSim) -> None:
    shared_sim.undeliverable.add(BEN)
    before = len(shared_sim.accepted)
    done = shared.run_command("send-test")
    assert done.returncode == 1
    assert done.stdout.startswith("+491***678: accepted by Meta.")
    assert "+316***678: not accepted (code 131026)" in done.stderr
    assert "WHATSAPP_RECIPIENTS" in done.stderr
    shared_sim.undeliverable.clear()
    (accepted,) = shared_sim.accepted[before:]
    assert accepted.text.startswith("WearOn alert: Test")


def test_send_test_goes_to_another_number_when_it_is_named(shared: Bridge, shared_sim: WhatsAppSim) -> None:
    other = "+15550001111"
    assert shared.run_command("send-test", "--to", other, WHATSAPP_RECIPIENTS="").returncode == 0
    assert shared_sim.accepted[-1].to == other


def test_send_test_names_what_is_missing_and_where_to_get_it(shared: Bridge, shared_sim: WhatsAppSim) -> None:
    done = shared.run_command("send-test", WHATSAPP_ACCESS_TOKEN="", WHATSAPP_PHONE_NUMBER_ID="+4915112345678")
    assert (done.returncode, done.stdout) == (78, "")
    assert "WHATSAPP_ACCESS_TOKEN is missing: a system user's token" in done.stderr
    assert "WHATSAPP_PHONE_NUMBER_ID is wrong: the id of the sending number" in done.stderr


def test_health_is_one_line_and_an_exit_status(shared: Bridge) -> None:
    done = shared.run_command("health", f"--port={shared.port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "ok"
    done = shared.run_command("health", "--port=1")
    assert done.returncode == 1
    assert done.stdout.startswith("no bridge answers at 127.0.0.1:1 (")
