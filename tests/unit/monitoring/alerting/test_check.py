"""The check refuses what Grafana's loader refuses, and what it takes although it cannot work.

The cases follow what the loader's own tests show that it accepts and refuses.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from monitoring.alerting.check import Surroundings, faults, is_duration, promql_faults
from monitoring.alerting.rule import RUNBOOKS_URL

File = dict[str, Any]
Change = Callable[[dict[str, Any]], object]

AROUND = Surroundings(
    datasources={"prometheus"},
    runbooks={"queue-full", "disk-full"},
    metrics={"up": "*", "tasks": "worker", "disk_bytes": "node-exporter"},
)


def a_rule(uid: str, title: str) -> File:
    return {
        "uid": uid,
        "title": title,
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": "prometheus",
                "model": {"refId": "A", "expr": 'max(tasks{job="worker"})', "instant": True, "range": False},
            },
            {
                "refId": "C",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "C",
                    "type": "threshold",
                    "expression": "A",
                    "conditions": [{"evaluator": {"type": "gt", "params": [5]}}],
                },
            },
        ],
        "for": "1m30s",
        "noDataState": "OK",
        "execErrState": "KeepLast",
        "labels": {"severity": "warning", "queue": "{{ $$labels.queue }}"},
        "annotations": {
            "summary": "{{ $labels.queue }} is full.",
            "description": "It holds {{ $values.A }} tasks.",
            "value_text": "{{ $values.A }} tasks",
            "runbook_url": f"{RUNBOOKS_URL}/{uid}.md",
        },
    }


def sound_files() -> dict[str, Any]:
    return {
        "rules.yml": {
            "apiVersion": 1,
            "groups": [
                {
                    "name": "queues",
                    "folder": "Shop",
                    "interval": "30s",
                    "rules": [a_rule("queue-full", "The queue is full"), a_rule("disk-full", "The disk is full")],
                }
            ],
        },
        "contact-points.yml": {
            "apiVersion": 1,
            "contactPoints": [
                {
                    "name": "telephone",
                    "receivers": [
                        {
                            "uid": "telephone",
                            "type": "webhook",
                            "settings": {"url": "http://bridge/", "hmacConfig": {"secret": "${SECRET}"}},
                        },
                        {"uid": "mail", "type": "email", "settings": {"addresses": "${MAIL_TO}"}},
                    ],
                }
            ],
        },
        "policies.yml": {
            "apiVersion": 1,
            "policies": [
                {
                    "receiver": "telephone",
                    "group_by": ["alertname"],
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "1h",
                    "routes": [
                        {
                            "receiver": "telephone",
                            "object_matchers": [["severity", "=", "warning"]],
                            "group_wait": "10s",
                            "group_interval": "1m",
                            "repeat_interval": "2d",
                            "active_time_intervals": ["office"],
                        }
                    ],
                }
            ],
        },
        "mute-timings.yml": {
            "apiVersion": 1,
            "muteTimes": [
                {
                    "name": "office",
                    "time_intervals": [
                        {"times": [{"start_time": "09:00", "end_time": "24:00"}], "location": "Asia/Karachi"}
                    ],
                }
            ],
        },
    }


def the_rule(files: dict[str, Any]) -> File:
    rule: File = files["rules.yml"]["groups"][0]["rules"][0]
    return rule


def the_group(files: dict[str, Any]) -> File:
    group: File = files["rules.yml"]["groups"][0]
    return group


def receiver(files: dict[str, Any], number: int = 0) -> File:
    found: File = files["contact-points.yml"]["contactPoints"][0]["receivers"][number]
    return found


def root(files: dict[str, Any]) -> File:
    found: File = files["policies.yml"]["policies"][0]
    return found


def interval(files: dict[str, Any]) -> File:
    found: File = files["mute-timings.yml"]["muteTimes"][0]["time_intervals"][0]
    return found


def test_sound_files_have_no_fault() -> None:
    assert faults(sound_files(), AROUND) == []


REFUSED: list[tuple[str, Change, str]] = [
    ("rule-missing-uid", lambda f: the_rule(f).pop("uid"), "uid None is missing"),
    ("rule-empty-uid", lambda f: the_rule(f).update(uid=""), "uid '' is missing"),
    ("rule-long-uid", lambda f: the_rule(f).update(uid="u" * 41), "more than 40"),
    ("rule-uid-of-another", lambda f: the_rule(f).update(uid="disk-full"), "2 rules have the uid 'disk-full'"),
    ("rule-title-of-another", lambda f: the_rule(f).update(title="The disk is full"), "2 rules have the title"),
    ("rule-missing-title", lambda f: the_rule(f).pop("title"), "no title"),
    ("rule-unknown-data-source", lambda f: the_rule(f)["data"][0].update(datasourceUid="graphite"), "'graphite'"),
    ("rule-without-data", lambda f: the_rule(f).update(data=[]), "condition 'C' is none of its queries"),
    ("rule-without-condition", lambda f: the_rule(f).pop("condition"), "condition None is none of its queries"),
    ("rule-wrong-for", lambda f: the_rule(f).update({"for": "10x"}), "for: '10x' is no duration"),
    ("rule-without-for", lambda f: the_rule(f).pop("for"), "for: None is no duration"),
    ("rule-no-data-misspelled", lambda f: the_rule(f).update(noDataState="Ok"), "noDataState 'Ok' is none of"),
    ("rule-error-misspelled", lambda f: the_rule(f).update(execErrState="KeepLastState"), "'KeepLastState' is none"),
    ("query-as-condition", lambda f: the_rule(f).update(condition="A"), "the condition is no threshold"),
    ("range-query", lambda f: the_rule(f)["data"][0]["model"].update(instant=False), "no instant query"),
    ("empty-range", lambda f: the_rule(f)["data"][0]["relativeTimeRange"].update({"from": 0}), "time range is empty"),
    ("threshold-of-nothing", lambda f: the_rule(f)["data"][1]["model"].update(expression="B"), "compares 'B'"),
    ("math-as-threshold", lambda f: the_rule(f)["data"][1]["model"].update(type="math"), "is no threshold"),
    (
        "threshold-without-number",
        lambda f: the_rule(f)["data"][1]["model"]["conditions"][0]["evaluator"].update(params=[]),
        "the threshold has no number",
    ),
    ("variable-in-query", lambda f: the_rule(f)["data"][0]["model"].update(expr='up{job="${J}"}'), "holds ${"),
    ("dollar-in-label", lambda f: the_rule(f)["labels"].update(queue="{{ $labels.queue }}"), "write $$"),
    ("unknown-severity", lambda f: the_rule(f)["labels"].update(severity="page"), "severity 'page'"),
    ("variable-in-annotation", lambda f: the_rule(f)["annotations"].update(summary="${HOME}"), "annotation summary"),
    ("function-on-value", lambda f: the_rule(f)["annotations"].update(summary="{{ $values.A.Value }}"), "summary"),
    ("no-summary", lambda f: the_rule(f)["annotations"].pop("summary"), "no annotation summary"),
    ("runbook-of-another", lambda f: the_rule(f)["annotations"].update(runbook_url="x"), "runbook_url is not"),
    ("runbook-missing", lambda f: the_rule(f).update(uid="new"), "docs/runbooks/new.md is missing"),
    ("group-without-name", lambda f: the_group(f).update(name=" "), "a group has no name"),
    ("group-without-folder", lambda f: the_group(f).pop("folder"), "no folder"),
    ("group-without-interval", lambda f: the_group(f).pop("interval"), "interval None is no duration"),
    ("group-wrong-interval", lambda f: the_group(f).update(interval="10x"), "interval '10x' is no duration"),
    ("receiver-missing-uid", lambda f: receiver(f).pop("uid"), "a receiver has no uid"),
    ("receiver-empty-uid", lambda f: receiver(f).update(uid=""), "a receiver has no uid"),
    ("receiver-white-uid", lambda f: receiver(f).update(uid="  "), "a receiver has no uid"),
    ("receiver-uid-twice", lambda f: receiver(f).update(uid="mail"), "2 receivers have the uid 'mail'"),
    ("receiver-unknown-type", lambda f: receiver(f).update(type="carrier-pigeon"), "'carrier-pigeon'"),
    ("receiver-no-settings", lambda f: receiver(f).pop("settings"), "url is missing"),
    ("mail-without-address", lambda f: receiver(f, 1)["settings"].update(addresses=""), "addresses is missing"),
    ("secret-in-file", lambda f: receiver(f)["settings"]["hmacConfig"].update(secret="s3cr3t"), "secret stands in"),
    ("point-without-name", lambda f: f["contact-points.yml"]["contactPoints"][0].update(name=""), "has no name"),
    ("point-empty", lambda f: f["contact-points.yml"]["contactPoints"][0].update(receivers=[]), "no receivers"),
    ("route-unknown-point", lambda f: root(f)["routes"][0].update(receiver="pager"), "no such contact point"),
    ("root-unknown-point", lambda f: root(f).update(receiver="pager"), "no such contact point"),
    ("route-unknown-time", lambda f: root(f)["routes"][0].update(mute_time_intervals=["night"]), "'night'"),
    ("route-wrong-wait", lambda f: root(f)["routes"][0].update(group_wait="soon"), "group_wait 'soon'"),
    ("route-no-interval", lambda f: root(f).update(group_interval="0s"), "group_interval '0s'"),
    ("route-wrong-matcher", lambda f: root(f)["routes"][0].update(object_matchers=[["a", "==", "b"]]), "no matcher"),
    ("root-with-matcher", lambda f: root(f).update(object_matchers=[["a", "=", "b"]]), "the root policy"),
    ("root-muted", lambda f: root(f).update(mute_time_intervals=["office"]), "the root policy"),
    ("two-trees", lambda f: f["policies.yml"]["policies"].append(root(f)), "2 policy trees"),
    ("time-without-name", lambda f: f["mute-timings.yml"]["muteTimes"][0].update(name=""), "a mute timing has no name"),
    ("time-zone-unknown", lambda f: interval(f).update(location="Mars/Olympus"), "is no time zone"),
    ("time-without-zone", lambda f: interval(f).pop("location"), "is no time zone"),
    ("time-of-no-day", lambda f: interval(f)["times"][0].update(end_time="25:00"), "'25:00' is no time of day"),
    ("other-version", lambda f: f["policies.yml"].update(apiVersion=2), "policies.yml: apiVersion must be 1"),
]


@pytest.mark.parametrize(("change", "fault"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_faulty_file_is_refused_and_the_fault_is_named(change: Change, fault: str) -> None:
    files = copy.deepcopy(sound_files())
    change(files)
    assert fault in "\n".join(faults(files, AROUND))


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ('sum(tasks{job="worker"}', "is no PromQL"),
        ('sum(task{job="worker"})', "there is no metric 'task'"),
        ("sum(tasks)", "has to be asked with its job"),
        ('max(tasks{job="worker"}) - min(disk_bytes{job="worker"})', "comes from the job 'node-exporter'"),
        ('max_over_time(max(task{job="worker"})[5m:30s])', "there is no metric 'task'"),
        ('-(task{job="worker"})', "there is no metric 'task'"),
        ('label_replace(rate(task{job="worker"}[5m]), "a", "b", "c", "d")', "there is no metric 'task'"),
        ('max(tasks{job="worker"}) > 5', "a comparison filters its answer"),
    ],
)
def test_a_faulty_expression_is_refused_wherever_the_fault_is(expression: str, fault: str) -> None:
    assert fault in "\n".join(promql_faults(expression, AROUND.metrics))


@pytest.mark.parametrize("expression", ['max(tasks{job="worker"}) > bool 5', 'up{job!="worker"}', "vector(1)"])
def test_a_sound_expression_is_taken(expression: str) -> None:
    assert list(promql_faults(expression, AROUND.metrics)) == []


@pytest.mark.parametrize("text", ["10s", "2d", "1h30m", "0s"])
def test_a_duration_is_taken(text: str) -> None:
    assert is_duration(text)


@pytest.mark.parametrize("text", ["", "10", "10x", "-5m", "1m1h", "h", None, 5])
def test_what_is_no_duration_is_refused(text: object) -> None:
    assert not is_duration(text)
