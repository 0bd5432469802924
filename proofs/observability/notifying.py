"""[pure] Who is told, when: Alertmanager's routing, grouping and repeating, as Grafana uses them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from proofs.observability.messages import Alert, group_key
from proofs.observability.provisioned import LocalSpan, PolicyRoute, Provisioned


def routes_for(root: PolicyRoute, labels: Mapping[str, str]) -> list[PolicyRoute]:
    """The routes that take an alert: the deepest that match, the first of them unless it goes on."""
    return list(_taking(root, labels))


def _taking(route: PolicyRoute, labels: Mapping[str, str]) -> Iterator[PolicyRoute]:
    found = False
    for below in route.routes:
        if not all(matcher.matches(labels) for matcher in below.matchers):
            continue
        found = True
        yield from _taking(below, labels)
        if not below.goes_on:
            break
    if not found:
        yield route


def is_within(spans: Sequence[LocalSpan], now: datetime) -> bool:
    """Whether a moment is in one of the spans, by the local time of each."""
    for span in spans:
        local = now.astimezone(ZoneInfo(span.location))
        minute = local.hour * 60 + local.minute
        if span.begin_minute <= minute < span.end_minute and (not span.weekdays or local.weekday() in span.weekdays):
            return True
    return False


def may_tell(route: PolicyRoute, intervals: Mapping[str, Sequence[LocalSpan]], now: datetime) -> bool:
    """Whether a route sends anything at this moment."""
    if any(is_within(intervals[name], now) for name in route.muted_during):
        return False
    return not route.active_during or any(is_within(intervals[name], now) for name in route.active_during)


@dataclass(slots=True)
class Group:
    """The alerts of one route that are told together.

    Attributes:
        route: its route.
        labels: what the alerts have in common, by the route's ``group_by``.
        next_flush: when it is looked at next.
        alerts: by fingerprint.
        told_firing, told_resolved: what the last message said.
        told_at: when that was.
    """

    route: PolicyRoute
    labels: Mapping[str, str]
    next_flush: datetime
    alerts: dict[str, Alert] = field(default_factory=dict)
    told_firing: frozenset[str] = frozenset()
    told_resolved: frozenset[str] = frozenset()
    told_at: datetime | None = None

    @property
    def key(self) -> str:
        """Its identity in messages."""
        return group_key(self.route.key, self.labels)

    def firing(self) -> frozenset[str]:
        """Fingerprints of what fires."""
        return frozenset(print_ for print_, alert in self.alerts.items() if alert.ends is None)

    def resolved(self) -> frozenset[str]:
        """Fingerprints of what is over and was not told so yet."""
        return frozenset(self.alerts) - self.firing()

    def has_news(self, now: datetime) -> bool:
        """Alertmanager's rule: new ones fire, others are over, or it is time to repeat."""
        firing = self.firing()
        if self.told_at is None:
            return bool(firing)
        if not firing <= self.told_firing:
            return True
        if not firing:
            return bool(self.told_firing)
        if not self.resolved() <= self.told_resolved:
            return True
        return now - self.told_at >= self.route.repeat_interval


@dataclass(frozen=True, slots=True)
class Message:
    """One notification that is to be delivered now."""

    receiver: str
    group: Group
    alerts: Sequence[Alert]


class Notifier:
    """All groups. ``put`` what the rules say, take what is ``due``, say what was ``delivered``.

    What was not is due again after the group's interval: Grafana's webhook tries only once each time.
    """

    def __init__(self, provisioned: Provisioned) -> None:
        self._provisioned = provisioned
        self._groups: dict[tuple[int, tuple[tuple[str, str], ...]], Group] = {}

    def put(self, alert: Alert, now: datetime) -> None:
        """Take an alert, in each group that it belongs to; one that is over only where it was firing."""
        for route in routes_for(self._provisioned.root, alert.labels):
            labels = {name: alert.labels[name] for name in route.group_by if name in alert.labels}
            name = (id(route), tuple(sorted(labels.items())))
            group = self._groups.get(name)
            if group is None:
                if alert.ends is not None:
                    continue
                group = self._groups[name] = Group(route, labels, now + route.group_wait)
            known = group.alerts.get(alert.fingerprint)
            if alert.ends is None:
                group.alerts[alert.fingerprint] = alert
            elif known is not None:
                group.alerts[alert.fingerprint] = replace(alert, starts=known.starts)

    def due(self, now: datetime) -> list[Message]:
        """What has to be sent now; every group that was looked at waits for its interval again."""
        found = []
        for group in self._groups.values():
            if now < group.next_flush:
                continue
            group.next_flush = now + group.route.group_interval
            if group.has_news(now) and may_tell(group.route, self._provisioned.intervals, now):
                found.append(Message(group.route.receiver, group, list(group.alerts.values())))
            elif not group.told_firing:
                self._forget_resolved(group)
        return found

    def delivered(self, message: Message, now: datetime) -> None:
        """It was taken: what is over is forgotten."""
        group = message.group
        group.told_firing, group.told_resolved, group.told_at = group.firing(), group.resolved(), now
        self._forget_resolved(group)

    def _forget_resolved(self, group: Group) -> None:
        for fingerprint in group.resolved():
            del group.alerts[fingerprint]
