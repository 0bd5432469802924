"""Whoever meets the number of a requirement finds what it means."""

import re

import pytest

from tests.support.tracked import REPOSITORY, tracked_texts

DOCUMENT = REPOSITORY / "docs" / "requirements.md"

CITED = re.compile(r"\b(?:N?FR-\d+(?:\.\d+)?|ADR-\d|Pattern \d)\b")
EXPLAINED = re.compile(r"^\| ((?:N?FR-\d+(?:\.\d+)?|ADR-\d|Pattern \d)) \| *\S", re.MULTILINE)


@pytest.fixture(scope="module")
def explained() -> set[str]:
    return set(EXPLAINED.findall(DOCUMENT.read_text()))


def test_every_requirement_that_is_cited_anywhere_is_explained(explained: set[str]) -> None:
    cited = {number for path, text in tracked_texts().items() if path != DOCUMENT for number in CITED.findall(text)}
    assert {"NFR-2.4", "FR-7.5", "Pattern 7"} <= cited, "also those of settings and of scripts"
    assert cited - explained == set()


def test_every_record_that_the_document_names_exists() -> None:
    records = re.findall(r"\(adr/([\w.-]+)\)", DOCUMENT.read_text())
    assert records
    assert [name for name in records if not (DOCUMENT.parent / "adr" / name).is_file()] == []
