"""Which tests are chosen and in which order the files come (ADR 0043), asked of pytest itself."""

import subprocess
import sys

import pytest

PRODUCTION, LAST = "tests/unit/production/test_image.py", "tests/unit/worker/test_tasks.py"
"""The first is called like a file of ``tests/infra``."""
WAITS, WORKS = "tests/faults/test_deaths.py", "tests/unit/services/test_resizing.py"

pytestmark = pytest.mark.heavy


def collected_files(*arguments: str) -> list[str]:
    """The files of the tests that pytest would run, each once, in their order."""
    asked = [sys.executable, "-m", "pytest", "-p", "no:xdist", "--collect-only", "-q", *arguments]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return list(dict.fromkeys(line.partition("::")[0] for line in said.splitlines() if "::" in line))


def test_what_starts_a_server_is_not_among_the_fast_tests() -> None:
    on_postgres = "tests/property/test_session_state_machine.py"
    assert collected_files(on_postgres) == [on_postgres]
    assert collected_files("-m", "not services", on_postgres, LAST) == [LAST]


def test_what_waits_and_what_works_come_first_and_the_rest_as_it_is() -> None:
    assert collected_files(PRODUCTION, LAST, WORKS, WAITS) == [WAITS, WORKS, PRODUCTION, LAST]


def test_rooms_with_an_order_of_their_own_leave_the_others_alone() -> None:
    found = collected_files(
        "-m", "not infra and not observability", "tests/infra", "tests/observability", PRODUCTION, LAST
    )
    assert found[-2:] == [PRODUCTION, LAST]
