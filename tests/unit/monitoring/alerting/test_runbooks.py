"""Whoever is woken finds a page: one for each alert, with what it means, what it hurts, how to look and what to do."""

import re
from pathlib import Path
from typing import Any

import pytest

from monitoring.alerting.__main__ import FOLDER
from monitoring.alerting.check import faults, surroundings
from monitoring.alerting.files import duration
from monitoring.alerting.policy import TIME_ZONE
from monitoring.alerting.rule import RUNBOOKS_URL
from monitoring.alerting.rules import RULES
from tests.support.yaml_files import read_yaml

RUNBOOKS = Path(__file__).resolve().parents[4] / "docs" / "runbooks"
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def page(uid: str) -> str:
    return (RUNBOOKS / f"{uid}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    return text.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0].strip()


def test_every_alert_has_a_page_and_no_page_is_of_another() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == sorted(rule.uid for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_a_page_has_the_four_headings_and_something_under_each(rule: Any) -> None:
    text = page(rule.uid)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert [heading for heading in HEADINGS if len(section(text, heading)) < len("None yet.")] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_a_page_begins_with_the_words_of_the_message_and_gives_commands_to_type(rule: Any) -> None:
    text = page(rule.uid)
    assert text.startswith(f"# {rule.title}\n")
    assert f"Alert `{rule.uid}`, {rule.severity.value}." in text
    assert re.search(r"```\n\S[^`]*\n```", section(text, "Diagnosis"))


def test_the_committed_files_link_to_pages_that_exist() -> None:
    files = {path.name: read_yaml(path) for path in FOLDER.iterdir()}
    assert faults(files, surroundings([path.stem for path in RUNBOOKS.glob("*.md")])) == []
    linked = {rule["annotations"]["runbook_url"] for group in files["rules.yml"]["groups"] for rule in group["rules"]}
    assert linked == {f"{RUNBOOKS_URL}/{path.name}" for path in RUNBOOKS.glob("*.md")}


def test_the_operators_table_says_what_the_rules_say() -> None:
    table = (RUNBOOKS.parent / "alerts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[([a-z0-9-]+)\]\(runbooks/\1\.md\) \| (.+?) \| (\w+) \| (\w+) \| (\w+) \|$", table, re.M)
    assert rows == [
        (rule.uid, rule.question, rule.severity.value, duration(rule.hold), rule.no_data.state.value) for rule in RULES
    ]


def test_the_operators_page_names_the_time_zone() -> None:
    assert f"`{TIME_ZONE}`" in (RUNBOOKS.parent / "alerts.md").read_text(encoding="utf-8")
