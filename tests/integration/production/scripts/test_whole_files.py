"""scripts/lib/files.sh: a file is whole, or as it was before."""

from pathlib import Path

import pytest

from tests.support.script_host import shell

FAILING = {
    "a program": "sh -c 'echo a part; exit 1'",
    "a function": "half",
    "a program that is not there": "no-such-program",
}


@pytest.mark.parametrize("writer", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("before", [None, "whole\n"], ids=["new", "there already"])
def test_what_a_failed_writer_wrote_gets_no_name(tmp_path: Path, writer: str, before: str | None) -> None:
    file = tmp_path / "file"
    if before:
        file.write_text(before)
    done = shell(tmp_path, f'half() {{ echo a part; return 1; }}; write_by_rename "$1" 0644 {writer}', str(file))
    assert done.status != 0
    assert f"{file} could not be written whole" in done.stderr
    assert done.stderr.count("STOP") == 1
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == ([("file", before)] if before else [])


def test_a_disk_that_is_full_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before\n")
    filling = 'ulimit -f 1; trap "" XFSZ; write_by_rename "$1" 0644 head -c 100000 /dev/zero'
    done = shell(tmp_path, filling, str(file))
    assert done.status != 0
    assert f"df -h {tmp_path}" in done.stderr
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("file", "before\n")]


def test_the_history_of_deploys_that_cannot_be_read_to_its_end_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "deploys.log").write_text("first\nsecond\n")
    program = 'cat() { echo first; return 1; }; write_by_rename "$HISTORY_FILE" 0644 _history_with "v3 sha256:0"'
    assert shell(tmp_path, program).status != 0
    assert (tmp_path / "deploys.log").read_text() == "first\nsecond\n"
