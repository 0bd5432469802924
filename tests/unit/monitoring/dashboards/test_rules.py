"""Every dashboard keeps to the rules, and each rule refuses a panel that breaks it."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from monitoring.dashboards.catalogue import BUILDERS, rendered
from monitoring.dashboards.rules import faults

Json = dict[str, Any]


def overview() -> Json:
    parsed: Json = json.loads(rendered("overview"))
    return parsed


def some_panel(dashboard: Json) -> Json:
    panel: Json = next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries")
    return panel


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_dashboard_keeps_to_the_rules(name: str) -> None:
    assert faults(json.loads(rendered(name))) == []


def set_title(panel: Json) -> None:
    panel["title"] = "Queue length"


def drop_unit(panel: Json) -> None:
    panel["fieldConfig"]["defaults"]["unit"] = ""


def drop_description(panel: Json) -> None:
    del panel["description"]


def drop_empty_state(panel: Json) -> None:
    del panel["fieldConfig"]["defaults"]["noValue"]


def drop_thresholds(panel: Json) -> None:
    panel["fieldConfig"]["defaults"]["thresholds"]["steps"] = []


def drop_links(panel: Json) -> None:
    panel["links"] = []


def link_elsewhere(panel: Json) -> None:
    panel["links"] = panel["links"][-1:]


def ask_another_source(panel: Json) -> None:
    panel["targets"][0]["datasource"]["uid"] = "P1809F7CD0C75ACF3"


def drop_legend(panel: Json) -> None:
    panel["targets"][0]["legendFormat"] = ""


def ask_nothing(panel: Json) -> None:
    panel["targets"] = []


def use_unknown_variable(panel: Json) -> None:
    panel["targets"][0]["expr"] = 'up{job="$shop"}'


def misspell_metric(panel: Json) -> None:
    panel["targets"][0]["expr"] = "max(wearon_backlogs)"


@pytest.mark.parametrize(
    ("break_panel", "fault"),
    [
        (set_title, "the title is no question"),
        (drop_unit, "no unit"),
        (drop_description, "no description"),
        (drop_empty_state, "no text for when there is no data"),
        (drop_thresholds, "no thresholds"),
        (drop_links, "no link to where one looks next"),
        (link_elsewhere, "no link to the logs of the same minutes"),
        (ask_another_source, "datasource uid P1809F7CD0C75ACF3 is unknown"),
        (drop_legend, "no legend"),
        (ask_nothing, "it asks nothing"),
        (use_unknown_variable, "variable shop is not one of this dashboard"),
        (misspell_metric, "wearon_backlogs: no such metric"),
    ],
)
def test_a_bad_panel_is_refused(break_panel: Callable[[Json], None], fault: str) -> None:
    dashboard = overview()
    break_panel(some_panel(dashboard))
    found = faults(dashboard)
    assert any(fault in words for words in found), found


def test_two_panels_with_one_title_are_refused_since_nobody_could_tell_which_is_meant() -> None:
    dashboard = overview()
    twin = copy.deepcopy(some_panel(dashboard))
    twin["id"] = 1000
    dashboard["panels"].append(twin)
    assert faults(dashboard) == [f"two panels have the title {twin['title']}"]


def test_two_panels_with_one_number_are_refused_since_grafana_links_to_the_number() -> None:
    dashboard = overview()
    some_panel(dashboard)["id"] = dashboard["panels"][0]["id"]
    assert faults(dashboard) == ["two panels have the id 1"]


def test_a_panel_that_nobody_could_see_whole_is_refused() -> None:
    dashboard = overview()
    panel = some_panel(dashboard)
    panel["gridPos"]["x"] = 20
    assert faults(dashboard) == [f"{panel['title']}: it ends right of the grid's 24 columns"]
