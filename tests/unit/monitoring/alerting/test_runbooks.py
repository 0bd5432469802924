"""Whoever is woken finds a page: one for each alert, with what it means, what it hurts, how to look and what to do."""

import re
from pathlib import Path
from typing import Any

import pytest

from models.failures import AccountBlocked, InputFailure, PlatformFailure, ProviderFailure
from monitoring.alerting.__main__ import FOLDER
from monitoring.alerting.check import faults, surroundings
from monitoring.alerting.files import duration
from monitoring.alerting.policy import TIME_ZONE
from monitoring.alerting.rule import RUNBOOKS_URL
from monitoring.alerting.rules import RULES
from operations.__main__ import COMMANDS
from tests.support.tracked import CODE_FOLDERS
from tests.support.yaml_files import read_yaml
from worker.samples import FAILURE_REASONS

RUNBOOKS = Path(__file__).resolve().parents[4] / "docs" / "runbooks"
WEARON = re.compile(r"(?:^|`|worker )wearon ([a-z-]+)", re.MULTILINE)
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


NEVER_REPORTED = {"input", "provider", "platform", "account_blocked"}
"""Branches of the tree of failures; what is reported is below them."""


def test_every_reason_that_a_generation_can_fail_for_has_a_row_with_what_to_do() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_:…]+`(?:, )?)+) \| \S", section(page("error-rate"), "Mitigation"), re.MULTILINE)
    told = {reason for row in rows for reason in re.findall(r"`([a-z_:…]+)`", row)}
    reported = {"bad_task:…" if reason.startswith("bad_task:") else reason for reason in FAILURE_REASONS}
    assert told == reported - NEVER_REPORTED


def test_no_branch_of_the_tree_of_failures_is_raised_itself() -> None:
    branches = {kind.__name__ for kind in (InputFailure, ProviderFailure, PlatformFailure, AccountBlocked)}
    sources = [path for folder in CODE_FOLDERS for path in (RUNBOOKS.parents[1] / folder).rglob("*.py")]
    raised = {name for path in sources for name in re.findall(r"(?:raise|return) (\w+)\(", path.read_text())}
    assert {"ImageUnreachable", "GivenBack"} <= raised
    assert raised & branches == set()


def test_every_command_of_wearon_that_a_page_has_an_operator_type_is_one() -> None:
    known = {command.name for command in COMMANDS}
    typed = {(path.name, word) for path in RUNBOOKS.glob("*.md") for word in WEARON.findall(path.read_text())}
    assert ("dead-letters.md", "dead-letters") in typed
    assert [(name, word) for name, word in sorted(typed) if word not in known] == []


def test_wearon_is_typed_on_the_host_as_the_scripts_write_it_there() -> None:
    operations = (RUNBOOKS.parent / "operations.md").read_text(encoding="utf-8")
    names = (RUNBOOKS.parents[1] / "scripts" / "lib" / "names.sh").read_text(encoding="utf-8")
    assert 'OPERATORS_COMMAND="${WEARON_COMMAND_DIRECTORY:-/usr/local/bin}/wearon"' in names
    assert "`/usr/local/bin/wearon`" in operations
