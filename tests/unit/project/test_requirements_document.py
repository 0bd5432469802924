"""Whoever meets the number of a requirement finds what it means."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENT = REPOSITORY / "docs" / "requirements.md"

CITED = re.compile(r"\b(?:N?FR-\d+(?:\.\d+)?|ADR-\d|Pattern \d)\b")
EXPLAINED = re.compile(r"^\| ((?:N?FR-\d+(?:\.\d+)?|ADR-\d|Pattern \d)) \| *\S", re.MULTILINE)


def tracked_files() -> list[Path]:
    """Code and documents, as git knows them; in a copy without git, as they lie there."""
    patterns = ["*.py", "*.md", "*.sql", "*.toml", "Dockerfile", "Makefile", ".env.example"]
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines()
    return [REPOSITORY / name for name in names] or [
        path
        for folder in ("config", "models", "services", "worker", "size_rec")
        for path in (REPOSITORY / folder).rglob("*.py")
    ]


@pytest.fixture(scope="module")
def explained() -> set[str]:
    return set(EXPLAINED.findall(DOCUMENT.read_text()))


def test_every_requirement_that_is_cited_is_explained(explained: set[str]) -> None:
    cited = {
        number
        for path in tracked_files()
        if path.is_file() and path != DOCUMENT
        for number in CITED.findall(path.read_text())
    }
    assert "NFR-2.4" in cited
    assert cited - explained == set()


def test_every_record_that_the_document_names_exists() -> None:
    records = re.findall(r"\(adr/([\w.-]+)\)", DOCUMENT.read_text())
    assert records
    assert [name for name in records if not (DOCUMENT.parent / "adr" / name).is_file()] == []
