"""docs/whatsapp.md says what the program does: the template, the codes, the settings, the commands."""

import re
from pathlib import Path
from typing import Final

from monitoring.whatsapp_bridge.answers import RULES, Result
from monitoring.whatsapp_bridge.settings import RULES as SETTINGS
from monitoring.whatsapp_bridge.template import LONGEST_MESSAGE_CHARACTERS, LONGEST_PARAMETER_CHARACTERS, TEMPLATE_TEXT
from sandbox.whatsapp_sim.rules import PLACEHOLDER

REPOSITORY: Final = Path(__file__).resolve().parents[4]
HANDBOOK: Final = (REPOSITORY / "docs" / "whatsapp.md").read_text()

ROW: Final = re.compile(r"^\| ([0-9][^|]*|any other) \| `([a-z]+)` \|", re.MULTILINE)
OWN_CHARACTERS: Final = re.compile(r"have at most (\d+) characters of its own")

SET_BY_COMPOSE: Final = {"WHATSAPP_QUEUE_PATH"}


def codes_of(cell: str) -> set[int]:
    """``190, 0; 3, 200-299`` as numbers; what is no code of Meta's, such as ``5xx``, left out."""
    codes: set[int] = set()
    for part in re.split(r"[,;]\s*", cell.strip()):
        if span := re.fullmatch(r"(\d+)-(\d+)", part):
            codes |= set(range(int(span[1]), int(span[2]) + 1))
        elif part.isdigit():
            codes.add(int(part))
    return codes


def test_the_template_to_be_approved_is_the_one_that_is_sent() -> None:
    shown = re.search(r"^   ```\n(   WearOn alert.*?)\n   ```$", HANDBOOK, re.MULTILINE | re.DOTALL)
    assert shown
    assert re.sub(r"^   ", "", shown[1], flags=re.MULTILINE) == TEMPLATE_TEXT


def test_a_translation_within_the_handbooks_limit_fits_into_a_message() -> None:
    limit = OWN_CHARACTERS.search(HANDBOOK)
    assert limit
    assert sum(LONGEST_PARAMETER_CHARACTERS) + int(limit[1]) <= LONGEST_MESSAGE_CHARACTERS
    assert len(PLACEHOLDER.sub("", TEMPLATE_TEXT)) <= int(limit[1])


def test_every_code_stands_in_the_table_with_its_result() -> None:
    shown = {code: result for cell, result in ROW.findall(HANDBOOK) for code in codes_of(cell)}
    assert shown == {code: rule.result.value for code, rule in RULES.items()}
    assert {result for _, result in ROW.findall(HANDBOOK)} == {result.value for result in Result} - {"ok"}


def test_every_setting_is_in_the_example_and_those_that_a_person_sets_are_in_the_handbook() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    there = set(re.findall(r"^(?:# )?(WHATSAPP_[A-Z_]+)=", example, re.MULTILINE))
    assert there == set(SETTINGS) - SET_BY_COMPOSE
    assert [name for name in sorted(there) if name not in HANDBOOK and name != "WHATSAPP_API_BASE_URL"] == []
    for name in sorted(there):
        commented_out = re.search(rf"^# {name}=(.*)$", example, re.MULTILINE)
        assert commented_out is None or commented_out[1] == SETTINGS[name].default, name
