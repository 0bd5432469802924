"""[pure] The rules and the policy in the form of Grafana's file provisioning."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

from monitoring.alerting.policy import (
    DEADMAN_RECEIVER,
    EMAIL_RECEIVER,
    ROOT,
    ROUTES,
    TIME_INTERVALS,
    TIME_ZONE,
    WEBHOOK_URL,
    WHATSAPP_RECEIVER,
    Route,
    TimeInterval,
)
from monitoring.alerting.rule import Rule
from monitoring.alerting.rules import RULES

Document = dict[str, Any]
"""A file, before it is written as YAML."""

FOLDER: Final = "WearOn"
EVALUATION_INTERVAL: Final = timedelta(seconds=30)
"""Twice a scrape: what is scraped is looked at within half a minute (NFR-4.6)."""

MAX_POINTS: Final = 43200
"""Grafana asks for it in every query; an instant query has one point."""


def documents() -> Mapping[str, Document]:
    """Every file of the folder ``provisioning/alerting``, by name."""
    return {
        "rules.yml": rules_document(RULES),
        "contact-points.yml": contact_points_document(),
        "policies.yml": policies_document(ROOT, ROUTES),
        "mute-timings.yml": mute_timings_document(TIME_INTERVALS),
    }


def rules_document(rules: Sequence[Rule]) -> Document:
    """``rules.yml``: the rules in groups, each of which is evaluated together."""
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": name,
                "folder": FOLDER,
                "interval": duration(EVALUATION_INTERVAL),
                "rules": [_rule(rule) for rule in members],
            }
            for name, members in groupby(rules, key=lambda rule: rule.group)
        ],
    }


def _rule(rule: Rule) -> Document:
    labels = {"severity": rule.severity.value}
    if rule.component is not None:
        labels["component"] = rule.component
    if rule.business_hours_only:
        labels["hours"] = "business"
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "C",
        "data": [_query(rule), _threshold(rule)],
        "for": duration(rule.hold),
        "noDataState": rule.no_data.state.value,
        "execErrState": rule.error.state.value,
        "labels": labels,
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "value_text": rule.value_text,
            "runbook_url": rule.runbook_url,
        },
    }


def _query(rule: Rule) -> Document:
    """The question, asked for this moment only: Grafana refuses a series of points as a condition."""
    return {
        "refId": "A",
        "relativeTimeRange": {"from": int(rule.look_back.total_seconds()), "to": 0},
        "datasourceUid": rule.source.value,
        **({"queryType": "instant"} if rule.source.value == "loki" else {}),
        "model": {
            "refId": "A",
            "expr": rule.expression,
            "instant": True,
            "range": False,
            "intervalMs": 1000,
            "maxDataPoints": MAX_POINTS,
            **({"queryType": "instant"} if rule.source.value == "loki" else {}),
        },
    }


def _threshold(rule: Rule) -> Document:
    return {
        "refId": "C",
        "relativeTimeRange": {"from": int(rule.look_back.total_seconds()), "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": "C",
            "type": "threshold",
            "datasource": {"type": "__expr__", "uid": "__expr__"},
            "expression": "A",
            "conditions": [{"evaluator": {"type": rule.side.value, "params": [rule.threshold]}}],
        },
    }


def contact_points_document() -> Document:
    """``contact-points.yml``. ``${…}`` come from Grafana's environment; no secret is in the file."""
    return {
        "apiVersion": 1,
        "contactPoints": [
            {
                "orgId": 1,
                "name": WHATSAPP_RECEIVER,
                "receivers": [
                    {
                        "uid": "whatsapp",
                        "type": "webhook",
                        "disableResolveMessage": False,
                        "settings": {
                            "url": WEBHOOK_URL,
                            "httpMethod": "POST",
                            "hmacConfig": {
                                "secret": "${WHATSAPP_WEBHOOK_SECRET}",
                                "header": "X-Grafana-Alerting-Signature",
                                "timestampHeader": "X-Grafana-Alerting-Timestamp",
                            },
                        },
                    }
                ],
            },
            {
                "orgId": 1,
                "name": EMAIL_RECEIVER,
                "receivers": [
                    {
                        "uid": "email",
                        "type": "email",
                        "disableResolveMessage": False,
                        "settings": {"addresses": "${ALERT_EMAIL_TO}", "singleEmail": True},
                    }
                ],
            },
            {
                "orgId": 1,
                "name": DEADMAN_RECEIVER,
                "receivers": [
                    {
                        "uid": "deadman",
                        "type": "webhook",
                        # Resolved: it would tell the watcher outside that all is well, just when it is not.
                        "disableResolveMessage": True,
                        "settings": {"url": "${DEADMAN_URL}", "httpMethod": "POST"},
                    }
                ],
            },
        ],
    }


def policies_document(root: Route, routes: Sequence[Route]) -> Document:
    """``policies.yml``: the one tree of notification policies."""
    return {
        "apiVersion": 1,
        "policies": [{"orgId": 1, **_route(root), "routes": [_route(route) for route in routes]}],
    }


def _route(route: Route) -> Document:
    return {
        "receiver": route.receiver,
        **({"object_matchers": [[label, "=", value] for label, value in route.matches]} if route.matches else {}),
        "group_by": list(route.group_by),
        "group_wait": duration(route.group_wait),
        "group_interval": duration(route.group_interval),
        "repeat_interval": duration(route.repeat_interval),
        **({"continue": True} if route.goes_on else {}),
        **({"active_time_intervals": [route.active_during]} if route.active_during else {}),
    }


def mute_timings_document(intervals: Sequence[TimeInterval]) -> Document:
    """``mute-timings.yml``: the spans of time that routes name."""
    return {
        "apiVersion": 1,
        "muteTimes": [
            {
                "orgId": 1,
                "name": interval.name,
                "time_intervals": [
                    {
                        "times": [{"start_time": interval.begins, "end_time": interval.ends}],
                        **({"weekdays": [interval.weekdays]} if interval.weekdays else {}),
                        "location": TIME_ZONE,
                    }
                ],
            }
            for interval in intervals
        ],
    }


def duration(span: timedelta) -> str:
    """A span as Prometheus writes it: ``1h30m``, ``0s``."""
    seconds = int(span.total_seconds())
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if number]
    return "".join(parts) or "0s"
