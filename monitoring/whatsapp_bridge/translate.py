"""[pure] Grafana's notification into the short messages that a person reads on a telephone.

What fires and what is over become two messages, so that nobody has to find the one in the other. A group is one
message: each is paid for, and ten at once tell less than one.
"""

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from monitoring.whatsapp_bridge.payload import Alert, Notification
from monitoring.whatsapp_bridge.template import EMPTY, LONGEST_PARAMETER_CHARACTERS, Message, fit

SEVERITIES: Final = {"critical": "CRITICAL", "warning": "Warning", "heartbeat": "Sign of life"}
"""By rank: the first that one of the alerts has names the message."""

NO_SEVERITY: Final = "Unrated"
RESOLVED: Final = "RESOLVED"
NOTHING_TO_DO: Final = "Nothing, it is over."

COMPONENTS: Final = {
    "model": "the pose model (MediaPipe)",
    "redis": "Redis, the platform's queue",
    "broker": "Celery's broker (Redis on the host)",
    "consumer": "the consumer of the queue",
    "celery": "the Celery process",
    "database": "the platform's database (Supabase)",
    "storage": "the platform's storage (Supabase)",
    "provider": "the picture provider (OpenAI)",
    "generation": "the making of pictures",
    "queue": "the queue of tasks",
    "worker": "the worker",
    "deploy": "the deploy",
    "credits": "credits and charges",
    "backup": "the backup",
    "host": "the host",
    "nginx": "nginx, the way in",
    "certificate": "the site's certificate",
    "whatsapp": "the bridge to WhatsApp",
    "prometheus": "Prometheus, which measures",
    "logs": "the logs (Alloy and Loki)",
    "alerting": "alerting itself",
}
"""What rules call a part, and the worker its own (``wearon_component_up``), in people's words. A label ``part``
comes before; a name that is not here is said as it is."""

NO_RUNBOOK: Final = "open Grafana, Alerting"
NO_HOST: Final = "unknown host"


def messages(notification: Notification) -> list[Message]:
    """One message for what fires, one for what is over; either may be missing, both are not."""
    firing = sorted((alert for alert in notification.alerts if alert.status == "firing"), key=_rank)
    resolved = [alert for alert in notification.alerts if alert.status == "resolved"]
    # Grafana cuts the end of the list, and resolved ones stand there; what is cut is counted where it says less.
    truncated = notification.truncated_alerts
    host = _host(notification)
    found = []
    if firing:
        found.append(_message(firing, severity(firing), host, left_out=truncated))
    if resolved:
        found.append(_message(resolved, RESOLVED, host, left_out=0 if firing else truncated))
    return found


def content_key(notification: Notification) -> str:
    """The same for the same news: a group with the same alerts in the same states since the same times.

    The times are part of it: an alert that was over and fires again is news.
    """
    states = sorted(
        f"{alert.fingerprint} {alert.status} {alert.starts_at.isoformat()}" for alert in notification.alerts
    )
    news = "\n".join([notification.group_key, notification.status, f"{notification.truncated_alerts} more", *states])
    return hashlib.sha256(news.encode()).hexdigest()


def severity(alerts: Sequence[Alert]) -> str:
    """The word for the worst of them."""
    there = {alert.labels.get("severity", "") for alert in alerts}
    return next((word for label, word in SEVERITIES.items() if label in there), NO_SEVERITY)


def _rank(alert: Alert) -> int:
    """The worst come first; among equals Grafana's order stays."""
    label = alert.labels.get("severity", "")
    return list(SEVERITIES).index(label) if label in SEVERITIES else len(SEVERITIES)


def _message(alerts: Sequence[Alert], word: str, host: str, *, left_out: int) -> Message:
    advice = _advice(alerts, is_over=word == RESOLVED)
    if len(alerts) == 1 and not left_out:
        return Message(f"{word}: {_summary(alerts[0])}", host, _one(alerts[0]), advice)
    head = f"{word}: {len(alerts) + left_out} alerts, first: {_summary(alerts[0])}"
    return Message(head, host, _several(alerts, left_out), advice)


def _advice(alerts: Sequence[Alert], *, is_over: bool) -> str:
    """The runbooks, as many as fit whole: half an address is of no use."""
    longest = LONGEST_PARAMETER_CHARACTERS[3]
    said = NOTHING_TO_DO if is_over else ""
    for link in dict.fromkeys(fit(alert.annotations.get("runbook_url", ""), longest) for alert in alerts):
        longer = f"{said} {link}".strip()
        if link != EMPTY and len(longer) <= longest:
            said = longer
    return said or NO_RUNBOOK


def _one(alert: Alert) -> str:
    parts = [_component(alert), alert.annotations.get("description", ""), _value(alert), _time(alert)]
    return ". ".join(part.strip().rstrip(".") for part in parts if part.strip())


def _several(alerts: Sequence[Alert], left_out: int) -> str:
    """Each in a few words, as many as there is room for, and how many more there are."""
    longest = LONGEST_PARAMETER_CHARACTERS[2]
    text = f"{_time(min(alerts, key=lambda alert: alert.starts_at))}: "
    for place, alert in enumerate(alerts, start=1):
        more = len(alerts) - place + left_out
        tail = f"; and {more} more" if more else ""
        entry = f"{place}) " + ", ".join(filter(None, (_summary(alert).rstrip("."), _component(alert), _value(alert))))
        room = longest - len(text) - len(tail)
        if place == 1:
            # Always said, cut if it must be: a message of a number alone says nothing.
            text += fit(entry, room)
        elif len(f"; {entry}") <= room:
            text += f"; {entry}"
        else:
            return f"{text}; and {more + 1} more"
    return f"{text}; and {left_out} more" if left_out else text


def _summary(alert: Alert) -> str:
    return alert.annotations.get("summary") or alert.labels.get("alertname") or "an alert without a name"


def _component(alert: Alert) -> str:
    name = alert.labels.get("component", "")
    part = alert.labels.get("part") or COMPONENTS.get(name, name)
    return f"Part: {part}" if part else ""


def _value(alert: Alert) -> str:
    value = alert.annotations.get("value_text", "")
    return f"Measured: {value}" if value and alert.status == "firing" else ""


def _time(alert: Alert) -> str:
    """A message can be late, so it says itself when that was."""
    if alert.status == "resolved" and alert.ends_at is not None:
        return f"Over since {alert.ends_at:%d %b %H:%M} UTC"
    return f"Since {alert.starts_at:%d %b %H:%M} UTC"


def _host(notification: Notification) -> str:
    """The label ``host`` where rules set one, else the name under which Grafana is reached, which is the host's."""
    return notification.common_labels.get("host") or urlsplit(notification.external_url).hostname or NO_HOST
