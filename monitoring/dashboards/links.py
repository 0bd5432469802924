"""[pure] Where a reader goes from a panel: to the logs of the same minutes, then to the page that says what to do."""

from dataclasses import dataclass
from typing import Final

REPOSITORY_URL: Final = "https://github.com/wearon/wearon-worker/blob/main"
DOCUMENTS_URL: Final = f"{REPOSITORY_URL}/docs"

LOGS_UID: Final = "wearon-logs"

SAME_TIME: Final = "${__url_time_range}"
"""Grafana puts the panel's time range here."""

SAME_CHOICES: Final = "${__all_variables}"
"""And here what is chosen for each variable."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link in the corner of a panel."""

    title: str
    url: str


def logs_of(service: str, level: str = "") -> Link:
    """The logs dashboard at the same time, for one compose service and, if named, one level."""
    chosen = f"&var-level={level}" if level else ""
    of_level = f", level {level}" if level else ""
    return Link(f"Logs of {service}{of_level}", f"/d/{LOGS_UID}?{SAME_TIME}&var-service={service}{chosen}")


def dashboard(title: str, uid: str) -> Link:
    """Another dashboard at the same time, with the same choices."""
    return Link(title, f"/d/{uid}?{SAME_TIME}&{SAME_CHOICES}")


def document(title: str, page: str) -> Link:
    """A page of docs/."""
    return Link(title, f"{DOCUMENTS_URL}/{page}")


def runbook(alert: str) -> Link:
    """The page that the alert with this uid links to as well."""
    return document(f"What to do: {alert}", f"runbooks/{alert}.md")
