"""[pure] What Grafana's webhook posts: the JSON body, its texts, and its signature."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

NO_VALUE: Final = "[no value]"
"""What Grafana writes where a label or a value is missing."""

ZERO_TIME: Final = "0001-01-01T00:00:00Z"
VARIABLE: Final = re.compile(r"\{\{ \$(labels|values)\.(\w+) \}\}")

FNV_OFFSET: Final = 14695981039346656037
FNV_PRIME: Final = 1099511628211
SEPARATOR: Final = 255


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told of one series.

    Attributes:
        labels: with the rule's.
        annotations: with values in the place of variables.
        value: of the query, if there is one.
        starts: since when it fires.
        ends: since when it does not; ``None`` while it does.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float | None
    starts: datetime
    ends: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """The identity of an alert, as Alertmanager makes it of the labels (FNV-1a)."""
        number = FNV_OFFSET
        for name in sorted(self.labels):
            for byte in (*name.encode(), SEPARATOR, *self.labels[name].encode(), SEPARATOR):
                number = (number ^ byte) * FNV_PRIME % 2**64
        return f"{number:016x}"


def expand(template: str, labels: Mapping[str, str], value: float | None) -> str:
    """A text with ``{{ $labels.x }}`` and ``{{ $values.A }}`` filled in."""

    def fill(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind == "labels":
            return labels.get(name, NO_VALUE)
        return NO_VALUE if value is None else plain_number(value)

    return VARIABLE.sub(fill, template)


def plain_number(value: float) -> str:
    """As Go writes it: no exponent, no needless digits."""
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN alone is not itself
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    return f"{value:f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))


def group_key(route_key: str, group_labels: Mapping[str, str]) -> str:
    """The identity of a group, as Alertmanager writes it."""
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(group_labels.items()))
    return f"{route_key}:{{{inner}}}"


def body(
    *,
    receiver: str,
    alerts: Sequence[Alert],
    group_labels: Mapping[str, str],
    key: str,
    external_url: str,
) -> bytes:
    """The webhook's JSON, version 1; firing alerts first."""
    firing = [alert for alert in alerts if alert.ends is None]
    ordered = [*firing, *(alert for alert in alerts if alert.ends is not None)]
    status = "firing" if firing else "resolved"
    title = f"[{status.upper()}:{len(firing) or len(ordered)}] {' '.join(group_labels.values())}"
    document = {
        "receiver": receiver,
        "status": status,
        "alerts": [_alert(alert, external_url) for alert in ordered],
        "groupLabels": dict(group_labels),
        "commonLabels": _common([alert.labels for alert in ordered]),
        "commonAnnotations": _common([alert.annotations for alert in ordered]),
        "externalURL": external_url,
        "version": "1",
        "groupKey": key,
        "truncatedAlerts": 0,
        "orgId": 1,
        "title": title,
        "state": "alerting" if firing else "ok",
        "message": "\n".join(alert.annotations.get("summary", "") for alert in ordered),
    }
    return json.dumps(document).encode()


def _alert(alert: Alert, external_url: str) -> Mapping[str, Any]:
    return {
        "status": "firing" if alert.ends is None else "resolved",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": _time(alert.starts),
        "endsAt": ZERO_TIME if alert.ends is None else _time(alert.ends),
        "generatorURL": f"{external_url}alerting/list",
        "fingerprint": alert.fingerprint,
        "silenceURL": f"{external_url}alerting/silence/new",
        "dashboardURL": "",
        "panelURL": "",
        "values": None if alert.value is None else {"A": alert.value},
        "valueString": "" if alert.value is None else f"[ var='A' value={plain_number(alert.value)} ]",
        "orgId": 1,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _common(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = mappings
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def signature(secret: str, timestamp: str, content: bytes) -> str:
    """Hex SHA-256 HMAC over ``timestamp:body``, as Grafana makes it where a timestamp header is named."""
    return hmac.new(secret.encode(), timestamp.encode() + b":" + content, hashlib.sha256).hexdigest()
