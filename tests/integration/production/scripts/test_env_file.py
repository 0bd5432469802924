"""scripts/lib/env_file.sh: .env as bytes, and only what every reader of it reads alike."""

import stat
from pathlib import Path

import pytest

from tests.support.script_host import shell

KEPT = [
    "plain",
    "a#b",
    "#b",
    "it's",
    'a"b',
    "a'",
    "a b",
    "a  b",
    "a=b",
    "=",
    "%41",
    "`id`",
    "a\\nb",
    "a\\b",
    "\\",
    "a;b",
    "~",
    "!x",
    "{a}",
    "[",
    "a: b",
    "&",
    "*",
    "|",
    "a<b>",
    "a,b",
    "export x",
    "",
    "x" * 32_768,
]
REFUSED = {
    "'a'": "begins with a quote",
    '"a"': "begins with a quote",
    "a$b": "has a $",
    "${X}": "has a $",
    "$(id)": "has a $",
    "$$": "has a $",
    "a #b": "has a space and then #",
    " a": "begins or ends with a space",
    "a ": "begins or ends with a space",
    "a\nb": "has a line break",
    "a\rb": "has a line break",
    "a\tb": "has a character that is not printable ASCII",
    "é": "has a character that is not printable ASCII",
    "a\u00a0": "has a character that is not printable ASCII",
    "\x7f": "has a character that is not printable ASCII",
    "x" * 32_769: "is longer than",
}


WRITE = 'write_env_value "$ENV_FILE" KEY "$1"'


@pytest.mark.parametrize("value", KEPT, ids=lambda value: value[:12])
def test_a_value_arrives_byte_for_byte(tmp_path: Path, value: str) -> None:
    written = shell(tmp_path, WRITE, value)
    assert written.status == 0, written.said
    assert shell(tmp_path, 'check_env_file "$ENV_FILE"; read_env_value "$ENV_FILE" KEY').stdout == value
    assert (tmp_path / ".env").read_bytes() == b"KEY=" + value.encode() + b"\n"


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: repr(value)[:12])
def test_a_value_that_readers_disagree_about_is_refused_without_being_shown(tmp_path: Path, value: str) -> None:
    written = shell(tmp_path, WRITE, value)
    assert written.status != 0
    assert f"KEY {REFUSED[value]}" in written.stderr
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1\nA=2\n", "line 2 has A for the second time"),
        ("A=1\nA 2\n", "line 2 is neither a comment nor KEY=VALUE"),
        (" A=1\n", "line 1 is neither"),
        ("export A=1\n", "line 1 is neither"),
        ("A = 1\n", "line 1 is neither"),
        ("2A=1\n", "line 1 is neither"),
        ("A='s3cret'\n", "line 1: A begins with a quote"),
        ("A=1\r\n", "line 1: A has a line break"),
        ("A=1\0\n", "has a NUL byte"),
        ("\ufeffA=1\n", "line 1 is neither"),
    ],
)
def test_a_file_that_readers_disagree_about_is_refused_by_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    done = shell(tmp_path, 'check_env_file "$ENV_FILE"')
    assert done.status != 0
    assert words in done.stderr
    assert "s3cret" not in done.said


def test_a_key_that_is_there_is_never_changed_and_a_comment_is_no_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# KEY=commented\nKEY=first")
    assert shell(tmp_path, WRITE, "second").status == 0
    assert shell(tmp_path, 'write_env_value "$ENV_FILE" OTHER "x"').status == 0
    assert (tmp_path / ".env").read_text() == "# KEY=commented\nKEY=first\nOTHER=x\n"


def test_the_file_is_only_for_its_owner_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    shell(tmp_path, f"umask 000; {WRITE}", "x")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


def test_what_a_killed_write_left_of_the_file_goes_with_the_next_write(tmp_path: Path) -> None:
    killed = shell(tmp_path, f'sync() {{ kill -KILL "$BASHPID"; }}; {WRITE}', "s3cret")
    assert killed.status != 0
    [left] = tmp_path.iterdir()
    assert left.read_text() == "KEY=s3cret\n"
    assert shell(tmp_path, WRITE, "x").status == 0
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=`touch ran`;touch ran\n")
    shell(tmp_path, f'cd "{tmp_path}"; check_env_file "$ENV_FILE"; read_env_value "$ENV_FILE" A')
    assert not (tmp_path / "ran").exists()


def test_a_script_that_nobody_foresaw_breaking_says_where_and_shows_no_value(tmp_path: Path) -> None:
    done = shell(tmp_path, 'secret=hidden; false "$secret"')
    assert "failed with status 1" in done.stderr
    assert "hidden" not in done.stderr


def test_a_file_that_cannot_be_read_to_its_end_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=first\nOTHER=x\n")
    done = shell(tmp_path, 'cat() { echo KEY=first; return 1; }; write_env_value "$ENV_FILE" NEW y')
    assert done.status != 0
    assert (tmp_path / ".env").read_text() == "KEY=first\nOTHER=x\n"
