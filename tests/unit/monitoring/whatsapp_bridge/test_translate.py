"""What a person reads on the telephone: golden files, and what holds for every notification."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitoring.whatsapp_bridge.payload import Malformed, Notification, parse
from monitoring.whatsapp_bridge.template import TEMPLATE_TEXT
from monitoring.whatsapp_bridge.translate import COMPONENTS, content_key, messages
from sandbox.whatsapp_sim.rules import Account, filled_in, refuse_body

REPOSITORY: Final = Path(__file__).resolve().parents[4]
DATA: Final = REPOSITORY / "tests" / "data" / "whatsapp"
NAMES: Final = sorted(path.stem for path in DATA.glob("*.json"))

ACCOUNT: Final = Account("t", "1", "worker_alert", "en", TEMPLATE_TEXT)


def on_the_telephone(notification: Notification) -> str:
    """Every message as it is read, the template filled in."""
    return "\n\n---\n\n".join(filled_in(TEMPLATE_TEXT, list(it.parameters)) for it in messages(notification)) + "\n"


def notification(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_a_notification_becomes_the_messages_of_its_golden_file(name: str) -> None:
    assert on_the_telephone(parse((DATA / f"{name}.json").read_bytes())) == (DATA / f"{name}.txt").read_text()


def test_what_fires_and_what_is_over_are_two_messages() -> None:
    heads = [message.headline for message in messages(parse(json.dumps(notification("grouped")).encode()))]
    assert [head.partition(":")[0] for head in heads] == ["CRITICAL", "RESOLVED"]


TEXTS: Final = st.text(max_size=600)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["firing", "resolved"]),
            st.dictionaries(st.sampled_from(["severity", "component", "alertname"]), TEXTS),
            st.dictionaries(st.sampled_from(["summary", "description", "value_text", "runbook_url"]), TEXTS),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(min_value=0, max_value=10**6),
)
def test_every_notification_becomes_messages_that_meta_takes(
    alerts: list[tuple[str, dict[str, str], dict[str, str]]], truncated: int
) -> None:
    body = {
        "status": "firing",
        "groupKey": "k",
        "truncatedAlerts": truncated,
        "externalURL": "https://w.example.com/grafana/",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": notes,
                "startsAt": "2026-11-28T09:31:10Z",
                "fingerprint": "f",
            }
            for status, labels, notes in alerts
        ],
    }
    made = messages(Notification.model_validate(body))
    assert 1 <= len(made) <= 2
    for message in made:
        parameters = [{"type": "text", "text": text} for text in message.parameters]
        template = {
            "name": "worker_alert",
            "language": {"code": "en"},
            "components": [{"type": "body", "parameters": parameters}],
        }
        request = {"messaging_product": "whatsapp", "to": "+4915112345678", "type": "template", "template": template}
        assert refuse_body(ACCOUNT, request, window_is_open=False) is None


@pytest.mark.parametrize("name", ["grouped", "truncated"])
def test_nothing_is_left_out_without_being_counted(name: str) -> None:
    body = notification(name)
    of_what_fires = messages(Notification.model_validate(body))[0]
    firing = sum(alert["status"] == "firing" for alert in body["alerts"]) + body["truncatedAlerts"]
    said = len(re.findall(r"\d+\) ", of_what_fires.parameters[2]))
    more = re.search(r"and (\d+) more$", of_what_fires.parameters[2])
    assert said + (int(more[1]) if more else 0) == firing
    assert f"{firing} alerts" in of_what_fires.parameters[0]


def key(body: dict[str, Any]) -> str:
    return content_key(Notification.model_validate(body))


def test_the_same_news_has_the_same_key_in_any_order_and_at_any_value() -> None:
    body, again = notification("grouped"), notification("grouped")
    again["alerts"].reverse()
    again["alerts"][0]["annotations"]["value_text"] = "another"
    again["title"] = "[FIRING:2]"
    assert key(body) == key(again)


def test_an_alert_that_is_over_and_one_that_fires_again_are_news() -> None:
    fired = notification("critical")
    over = notification("critical")
    over["status"] = over["alerts"][0]["status"] = "resolved"
    again = notification("critical")
    again["alerts"][0]["startsAt"] = (datetime(2026, 11, 28, 9, 31, 10, tzinfo=UTC) + timedelta(minutes=4)).isoformat()
    other_group = notification("critical") | {"groupKey": "another"}
    one_more = notification("critical") | {"truncatedAlerts": 1}
    assert len({key(body) for body in (fired, over, again, other_group, one_more)}) == 5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"status": "firing", "alerts": [], "groupKey": "k"}', "alerts"),
        (b'{"status": "nodata", "alerts": [], "groupKey": "k"}', "status"),
        (b'{"status": "firing", "alerts": [{"status": "firing", "fingerprint": "f"}], "groupKey": "k"}', "startsAt"),
        (b'{"status": "firing", "alerts": [{"status": "firing", "fingerprint": "f", "startsAt": "x"}]}', "groupKey"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_notification_is_refused_naming_the_field(body: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse(body)


def shipped_rules() -> list[dict[str, Any]]:
    """The rules as Grafana gets them."""
    file = REPOSITORY / "monitoring" / "grafana" / "provisioning" / "alerting" / "rules.yml"
    groups = yaml.safe_load(file.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule["uid"])
def test_a_shipped_rule_is_said_whole_and_names_its_part_in_words(rule: dict[str, Any]) -> None:
    said = {name: re.sub(r"{{.*?}}", "123.4", text) for name, text in rule["annotations"].items()}
    alert = {
        "status": "firing",
        "labels": {"alertname": rule["title"], **rule["labels"]},
        "annotations": said,
        "startsAt": "2026-11-28T09:31:10Z",
        "fingerprint": "f",
    }
    body = {"status": "firing", "groupKey": "k", "externalURL": "https://worker.example.com/", "alerts": [alert]}
    (message,) = messages(Notification.model_validate(body))
    assert said["summary"] in message.parameters[0]
    assert message.parameters[2].endswith(" UTC"), "nothing of it is cut"
    assert message.parameters[3] == said["runbook_url"]
    if component := rule["labels"].get("component"):
        assert f"Part: {COMPONENTS[component]}" in message.parameters[2]
