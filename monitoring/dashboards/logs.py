"""[pure] Logs: who writes how much, what went wrong, and every line of one request or session."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import units

from monitoring.dashboards.frame import frame, level, service, text_box
from monitoring.dashboards.links import LOGS_UID, document, runbook
from monitoring.dashboards.panels import (
    HALF,
    NO_LIMIT,
    Lines,
    Panel,
    Question,
    graph,
    log_lines,
)

UID: Final = LOGS_UID

CHOSEN: Final = '{service=~"$service", level=~"$level"}'
"""The labels; Loki finds streams by them."""

SEARCHED: Final = (
    "| request_id=~`.*${request_id}.*` | session_id=~`.*${session_id}.*` | event=~`.*${event}.*` |= `${text}`"
)
"""Structured metadata, then the line itself. An empty field matches every line, also one without that id."""

WINDOW: Final = "$__auto"
"""Loki's own window: one point of the graph."""

RUNBOOKS: Final = document("Runbooks", "runbooks")
ARRIVING: Final = document("How logs get here", "observability.md#logs")
NO_LINE: Final = "no such line in this time"


def build() -> builders.Dashboard:
    """The dashboard."""
    dashboard_builder = frame(
        uid=UID,
        title="WearOn: logs",
        description="Who writes how much, what went wrong, and every line of one request or session.",
        since="now-1h",
    )
    for variable in (service(), level()):
        dashboard_builder.with_variable(variable)
    for name, label, description in (
        ("request_id", "Request id", "Or a part of it. In every line of one HTTP request or one task."),
        ("session_id", "Session id", "Or a part of it. In every line about one generation."),
        ("event", "Event", "Or a part of it, such as session_completed."),
        ("text", "Text in the line", "Found as it is written, capitals included."),
    ):
        dashboard_builder.with_variable(text_box(name, label, description))
    for panel in (*VOLUME_PANELS, SEARCH_PANEL, *FAULTS_PANELS):
        dashboard_builder.with_panel(panel)
    return dashboard_builder


VOLUME_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="Which service writes how much?",
            unit=units.Short,
            description=(
                "Lines by service. A service that stops writing is dead or its log is not shipped; one that writes"
                " a hundred times more than usual fills Loki's volume."
            ),
            empty="no line arrived: is Alloy up?",
            thresholds=NO_LIMIT,
            links=(ARRIVING, RUNBOOKS, runbook("logs-silent")),
        ),
        Lines(f"sum by (service) (count_over_time({CHOSEN} [{WINDOW}]))", "{{service}}"),
        width=HALF,
        stacked=True,
        bars=True,
    ),
    graph(
        Question(
            title="How bad are the lines?",
            unit=units.Short,
            description=(
                "Lines by level. unknown is a line that is no JSON: of a program that is not ours, or a crash that"
                " printed past the log."
            ),
            empty="no line arrived: is Alloy up?",
            thresholds=NO_LIMIT,
            links=(ARRIVING, RUNBOOKS, runbook("logs-silent")),
        ),
        Lines(f"sum by (level) (count_over_time({CHOSEN} [{WINDOW}]))", "{{level}}"),
        width=HALF,
        stacked=True,
        bars=True,
    ),
)


SEARCH_PANEL: Final[Panel] = log_lines(
    Question(
        title="What happened in this request or session?",
        unit=units.NoUnit,
        description=(
            "The lines that match the fields above, newest first. Put in a request id or session id to follow one"
            " task through all services. A click on a line shows its fields."
        ),
        empty=NO_LINE,
        thresholds=NO_LIMIT,
        links=(document("What the events mean", "operating.md"), RUNBOOKS),
    ),
    Lines(f"{CHOSEN} {SEARCHED}"),
)


FAULTS_PANELS: Final[tuple[Panel, ...]] = (
    log_lines(
        Question(
            title="What went wrong?",
            unit=units.NoUnit,
            description="Errors of all services, whatever is chosen above. Each says in event what it is about.",
            empty="no error in this time",
            thresholds=NO_LIMIT,
            links=(RUNBOOKS,),
        ),
        Lines('{service=~".+", level=~"error|critical"}'),
    ),
    log_lines(
        Question(
            title="What did nginx answer with 5xx?",
            unit=units.NoUnit,
            description=(
                "Requests that got an error of ours, with the address that nginx asked (upstream). 502 and 504"
                " during a deploy are few; many at other times: is the worker up?"
            ),
            empty="no 5xx in this time",
            thresholds=NO_LIMIT,
            links=(document("What to do on the host", "operations.md"), RUNBOOKS, runbook("nginx-5xx")),
        ),
        Lines('{service="nginx"} | json status="status" | status >= 500'),
        width=HALF,
    ),
    log_lines(
        Question(
            title="What does the WhatsApp bridge say?",
            unit=units.NoUnit,
            description="Messages sent and refused, with Meta's error code in words.",
            empty="the bridge wrote nothing in this time",
            thresholds=NO_LIMIT,
            links=(document("WhatsApp", "whatsapp.md"), RUNBOOKS, runbook("bridge-refused-by-meta")),
        ),
        Lines('{service="grafana-whatsapp-webhook"}'),
        width=HALF,
    ),
)
