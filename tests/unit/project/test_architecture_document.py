"""docs/architecture.md tells where things are, so it is true."""

import re
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[3]
DOCUMENT: Final = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")

ROWS: Final = re.findall(r"^\| `([^`|]+)` \| (.+) \|$", DOCUMENT.split("document's files are", 1)[1], re.MULTILINE)
NOT_BUILT: Final = "not built yet"

OF_THE_FIRST_DOCUMENT: Final = frozenset(
    [
        "main.py",
        "config/settings.py",
        "config/logging_config.py",
        "models/task_payload.py",
        "models/generation.py",
        "models/size_rec.py",
        "services/openai_client.py",
        "services/supabase_client.py",
        "services/image_processor.py",
        "services/redis_client.py",
        "worker/celery_app.py",
        "worker/consumer.py",
        "worker/tasks.py",
        "worker/startup.py",
        "size_rec/app.py",
        "size_rec/mediapipe_service.py",
        "size_rec/size_calculator.py",
        "size_rec/image_processing.py",
        "tests/conftest.py",
        "tests/test_consumer.py",
        "tests/test_task_payload.py",
        "tests/test_tasks.py",
        "tests/test_size_rec_app.py",
        "tests/test_mediapipe_service.py",
        "tests/test_size_calculator.py",
        "Dockerfile",
        "docker-compose.yml",
        "Makefile",
        "requirements.txt",
        "pyproject.toml",
        ".env.example",
        ".dockerignore",
        ".github/workflows/ci-cd.yml",
        "README.md",
        "docker-compose.prod.yml",
        "nginx/",
        "monitoring/",
        "scripts/",
    ]
)
"""Every file, and for what comes later every folder, of its chapter "Project Structure & Boundaries"."""


def test_every_name_of_the_first_document_has_a_row() -> None:
    assert {name for name, _ in ROWS} >= OF_THE_FIRST_DOCUMENT


@pytest.mark.parametrize(("name", "places"), ROWS)
def test_what_a_row_points_to_is_there(name: str, places: str) -> None:
    if places.startswith(NOT_BUILT):
        there = [path for path in (REPOSITORY / name).rglob("*") if path.suffix not in {"", ".pyc"}]
        assert there == []
        return
    found = re.findall(r"`([^`]+)`", places)
    assert found
    assert [place for place in found if not (REPOSITORY / place).exists()] == []


def test_every_file_that_the_document_names_is_there() -> None:
    before_the_table = DOCUMENT.split("document's files are", 1)[0]
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|cjs|sql|md))`", before_the_table))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def names_beside(cell: str) -> list[tuple[str, bool]]:
    """The file names without a folder in a cell, and whether each is beside a file that the cell names before it."""
    folders = [REPOSITORY]
    found = []
    for name in re.findall(r"`([\w./-]+\.(?:py|cjs|sql|md|yml|sh))`", cell):
        if "/" in name:
            folders.append((REPOSITORY / name).parent)
        else:
            found.append((name, any((folder / name).is_file() for folder in folders)))
    return found


def test_a_file_that_a_table_names_without_its_folder_is_beside_the_one_named_before_it() -> None:
    cells = [cell for line in DOCUMENT.splitlines() if line.startswith("| ") for cell in line.split(" | ")]
    found = [name for cell in cells for name in names_beside(cell)]
    assert ("answer.py", True) in found
    assert [name for name, is_there in found if not is_there] == []


def test_every_folder_of_the_monitoring_is_among_the_rooms() -> None:
    rooms = DOCUMENT.split("## Rooms", 1)[1].split("```")[1]
    of_the_monitoring = rooms.split("\nmonitoring/", 1)[1].split("\n\n", 1)[0]
    there = {path.parent.name for path in (REPOSITORY / "monitoring").glob("*/*") if path.suffix != ".pyc"}
    assert {"alloy", "whatsapp_bridge"} <= there
    assert [name for name in sorted(there - {"__pycache__"}) if f"{name}/" not in of_the_monitoring] == []
