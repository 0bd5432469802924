"""[pure] What Grafana posts (webhook notifier, version "1"): what a message is made of; the rest is let through.

Grafana adds fields from release to release, so an unknown one is no fault. A missing one that a message needs is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


class Malformed(Exception):
    """The body is not what Grafana sends; the text says which field and why, without its value."""


def _without_none(value: object) -> object:
    return {} if value is None else value


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("this time is in no calendar") from error


def _no_zero_time(value: object) -> object:
    return None if isinstance(value, str) and value.startswith("0001-01-01T") else value


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""Grafana writes times with its own offset; one without is taken for UTC."""

MaybeMoment = Annotated[Moment | None, BeforeValidator(_no_zero_time)]
"""Go's zero time stands for none."""

Texts = Annotated[dict[str, str], BeforeValidator(_without_none)]
"""Labels or annotations; Grafana writes null for none."""


class Alert(BaseModel):
    """One alert of a notification."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: Texts = Field(default_factory=dict)
    annotations: Texts = Field(default_factory=dict)
    starts_at: Moment = Field(alias="startsAt")
    ends_at: MaybeMoment = Field(default=None, alias="endsAt")
    fingerprint: str = Field(min_length=1)


class Notification(BaseModel):
    """One notification: a group of alerts, fired and resolved ones together."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    alerts: list[Alert] = Field(min_length=1)
    group_key: str = Field(alias="groupKey", min_length=1)
    common_labels: Texts = Field(default_factory=dict, alias="commonLabels")
    external_url: str = Field(default="", alias="externalURL")
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)


def parse(body: bytes) -> Notification:
    """The notification in a request's body.

    Raises:
        Malformed: with words for the person who looks for the fault.
    """
    try:
        return Notification.model_validate_json(body)
    except ValidationError as error:
        raise Malformed("; ".join(_fault(part) for part in error.errors()[:3])) from None


def _fault(part: Mapping[str, object]) -> str:
    location = part["loc"]
    place = ".".join(str(step) for step in location) if isinstance(location, tuple) else ""
    return f"{place}: {part['msg']}" if place else str(part["msg"])
