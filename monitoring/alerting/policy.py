"""[pure] Who is told of an alert, when, and how often (ADR 0131).

Everything goes to WhatsApp. E-mail is for the case that WhatsApp is what fails: critical alerts and the bridge's own
failures are sent there as well, which needs SMTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from monitoring.alerting.rule import Severity
from monitoring.alerting.rules.whatsapp import COMPONENT as WHATSAPP

TIME_ZONE: Final = "Europe/London"
"""The time zone of business hours and of the morning, by its IANA name. Grafana takes no variable in a mute timing, so
it is set here: change it, run ``python -m monitoring.alerting``, deploy."""

WEBHOOK_URL: Final = "http://grafana-whatsapp-webhook:8085/grafana"

WHATSAPP_RECEIVER: Final = "whatsapp"
EMAIL_RECEIVER: Final = "email"
DEADMAN_RECEIVER: Final = "deadman"

BUSINESS_HOURS: Final = "business-hours"
MORNING: Final = "morning"

ROOT_GROUP_BY: Final = ("alertname", "component")
"""One message for one cause in one part, however many series it has."""


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """A named span of the week, in the local time of ``TIME_ZONE``."""

    name: str
    begins: str
    ends: str
    weekdays: str | None = None


TIME_INTERVALS: Final = (
    # Half an hour later than business begins: a rule on the last 30 minutes then sees business hours only.
    TimeInterval(BUSINESS_HOURS, begins="09:30", ends="18:00", weekdays="monday:friday"),
    TimeInterval(MORNING, begins="08:00", ends="09:00"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """One branch of the notification policy.

    Attributes:
        receiver: the contact point.
        matches: label and value, all of which an alert has to have.
        group_by: alerts with these labels in common are one message.
        group_wait: from the first alert of a new group to its message.
        group_interval: between two messages of a group that has changed.
        repeat_interval: between two messages of a group that has not.
        goes_on: whether the routes below see the alert as well.
        active_during: the time interval outside of which nothing is sent.
        reason: why these times.
    """

    receiver: str
    matches: Sequence[tuple[str, str]]
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    reason: str
    group_by: Sequence[str] = ROOT_GROUP_BY
    goes_on: bool = False
    active_during: str | None = None


CRITICAL: Final = ("severity", Severity.CRITICAL.value)
HEARTBEAT: Final = ("severity", Severity.HEARTBEAT.value)

AT_ONCE: Final = timedelta(seconds=10)
"""Just long enough for the other series of the same rule to come into the same message."""

ROUTES: Final = (
    Route(
        DEADMAN_RECEIVER,
        (HEARTBEAT,),
        group_wait=AT_ONCE,
        group_interval=timedelta(minutes=5),
        repeat_interval=timedelta(minutes=5),
        reason="Whoever waits for it outside notices its absence within ten minutes.",
        goes_on=True,
    ),
    Route(
        WHATSAPP_RECEIVER,
        (HEARTBEAT,),
        group_wait=AT_ONCE,
        group_interval=timedelta(minutes=5),
        repeat_interval=timedelta(hours=23),
        reason="Once each morning, also without a watcher outside; 23 hours, so that it never slips out of its hour.",
        active_during=MORNING,
    ),
    Route(
        EMAIL_RECEIVER,
        (CRITICAL,),
        group_wait=AT_ONCE,
        group_interval=timedelta(minutes=1),
        repeat_interval=timedelta(hours=4),
        reason="The same alerts by another way; repeated less often, since nothing is gained by a full mailbox.",
        goes_on=True,
    ),
    Route(
        EMAIL_RECEIVER,
        (("component", WHATSAPP), ("severity", Severity.WARNING.value)),
        group_wait=AT_ONCE,
        group_interval=timedelta(minutes=1),
        repeat_interval=timedelta(hours=4),
        reason="What the bridge fails at cannot be told by the bridge.",
        goes_on=True,
    ),
    Route(
        WHATSAPP_RECEIVER,
        (CRITICAL,),
        group_wait=AT_ONCE,
        group_interval=timedelta(minutes=1),
        repeat_interval=timedelta(hours=1),
        reason="At once, and again every hour until it is resolved: somebody who slept through one hears the next.",
    ),
    Route(
        WHATSAPP_RECEIVER,
        (("hours", "business"),),
        group_wait=timedelta(minutes=1),
        group_interval=timedelta(minutes=3),
        repeat_interval=timedelta(hours=4),
        reason="In business hours only; twice a day at most while it stays so.",
        active_during=BUSINESS_HOURS,
    ),
    Route(
        WHATSAPP_RECEIVER,
        (("severity", Severity.WARNING.value),),
        group_wait=timedelta(minutes=1),
        group_interval=timedelta(minutes=3),
        repeat_interval=timedelta(hours=24),
        reason="Batched into one message; three minutes, so that a second one is told within five all the same.",
        group_by=("severity",),
    ),
)
"""From top to bottom; the first that matches takes the alert, unless it says that it goes on."""

ROOT: Final = Route(
    WHATSAPP_RECEIVER,
    (),
    group_wait=timedelta(seconds=30),
    group_interval=timedelta(minutes=3),
    repeat_interval=timedelta(hours=12),
    reason="Whatever no route matches, such as an alert somebody made by hand, is told as well.",
)
