"""A link to a file of ours, written as a whole address, leads somewhere: an operator follows it from a telephone."""

import re
from pathlib import Path
from typing import Final

import pytest

from monitoring.dashboards.links import REPOSITORY_URL
from tests.support.tracked import REPOSITORY, tracked_texts

LINK: Final = re.compile(re.escape(REPOSITORY_URL) + r"/([\w./-]*\w)")


@pytest.fixture(scope="module")
def linked() -> dict[str, Path]:
    """What is linked to, and one file that does it. What a test hands in nobody follows."""
    followed = {path: text for path, text in tracked_texts().items() if REPOSITORY / "tests" not in path.parents}
    return {name: path for path, text in followed.items() for name in LINK.findall(text)}


def test_links_are_found_in_documents_and_in_generated_files(linked: dict[str, Path]) -> None:
    assert linked["docs/runbooks/worker-degraded.md"]
    assert any(path.suffix == ".json" for path in linked.values())
    assert any(path.suffix == ".yml" for path in linked.values())


def test_every_file_of_ours_that_is_linked_by_its_whole_address_is_there(linked: dict[str, Path]) -> None:
    missing = {name: str(path.relative_to(REPOSITORY)) for name, path in linked.items()}
    assert {name: path for name, path in missing.items() if not (REPOSITORY / name).exists()} == {}
