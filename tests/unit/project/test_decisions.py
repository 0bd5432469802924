"""The records of decisions are short, listed and found, and no link in the documents leads nowhere."""

import re
from itertools import chain
from pathlib import Path
from typing import Final

import pytest

from tests.support.tracked import REPOSITORY, tracked_files

DOCS: Final = REPOSITORY / "docs"
LIST: Final = DOCS / "adr" / "README.md"
RECORDS: Final = {path.name[:4]: path for path in sorted((DOCS / "adr").glob("[0-9]*.md"))}
DOCUMENTS: Final = [*sorted(DOCS.rglob("*.md")), REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md"]

MOST_WORDS: Final = 150
"""Below the title. What was tried and measured goes to docs/notes/."""

WORD: Final = re.compile(r"\S*\w\S*")
ROW: Final = re.compile(r"^\| \[(\d{4})\]\(([\w.-]+)\) \| *\S", re.MULTILINE)
CITED: Final = re.compile(r"\b(?:ADR |adr/)(\d{4})\b")
CITED_AMONG_RECORDS: Final = re.compile(r"(?<![\w.,])0[01]\d\d\b")
"""Records, their notes and their list name each other by the bare number as well."""

LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
NAMED_TEST: Final = re.compile(r"`(?:tests/)?((?:[a-z_]+/)+test_[a-z0-9_]+\.py)`")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """What can stand behind ``#`` in a link to this document, by GitHub's rule."""
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in HEADING.findall(document.read_text())
    }


def dead_links(document: Path) -> list[str]:
    """The links of a document that lead to no file of the repository, or to no heading in it."""
    dead: list[str] = []
    for link in LINK.findall(document.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def cited_in(path: Path) -> set[str]:
    """The numbers of records that a file names."""
    text = path.read_text()
    near_the_records = path.parent in {DOCS / "adr", DOCS / "notes"}
    return set(CITED.findall(text)) | set(CITED_AMONG_RECORDS.findall(text) if near_the_records else ())


def test_every_record_is_in_the_list_under_its_number_and_the_list_has_no_other() -> None:
    listed = ROW.findall(LIST.read_text())
    assert listed == [(number, path.name) for number, path in RECORDS.items()]


@pytest.mark.parametrize("number", RECORDS)
def test_a_record_is_short(number: str) -> None:
    title, _, body = RECORDS[number].read_text().partition("\n")
    assert title.startswith(f"# {number} ")
    assert len(WORD.findall(body)) <= MOST_WORDS


def test_every_record_that_is_cited_exists() -> None:
    cited = set(chain.from_iterable(cited_in(path) for path in tracked_files()))
    assert len(cited) > 20, "the search finds what there is"
    assert cited - set(RECORDS) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    assert dead_links(document) == []


def test_every_test_that_shows_a_promise_exists() -> None:
    tests = set(NAMED_TEST.findall((DOCS / "reliability.md").read_text()))
    assert len(tests) > 50
    assert [name for name in sorted(tests) if not (REPOSITORY / "tests" / name).is_file()] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("# The price\n[a](#the-price) [b](#the-prize) [c](other.md) [d](https://example.org/x.md)\n")
    assert dead_links(document) == ["#the-prize", "other.md"]
