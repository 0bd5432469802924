"""A value in .env means the same to everybody who reads the file, or is refused before anybody has (ADR 0110)."""

import subprocess
from pathlib import Path
from typing import Final

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.env_file import LONGEST_VALUE_BYTES, file_faults, value_fault
from config.settings import SettingsError, load_settings
from tests.support.env_values import ARRIVES
from tests.support.production_bundle import HOST_VALUES, REPOSITORY, environment, lay_out, services, write_env

REFUSED: Final = {
    "dollar": "a$b",
    "dollars": "a$$b",
    "dollar first": "$HOME",
    "dollar and braces": "${HOME}",
    "dollar and open brace": "${HOME",
    "dollar last": "a$",
    "dollar and parentheses": "$(id)",
    "backslash and dollar": "\\$a",
    "comment behind": "a #b",
    "comment behind a tab": "a\t#b",
    "in quotes": '"a"',
    "in single quotes": "'a'",
    "open quote": '"a',
    "open single quote": "'a",
    "quotes around a part": '"a"b',
    "escape in quotes": '"a\\nb"',
    "space first": " a",
    "space last": "a ",
    "tab last": "a\t",
    "line break": "a\nb",
    "carriage return": "a\rb",
    "carriage return last": "a\r",
    "NUL": "a\x00b",
    "delete": "a\x7f",
    "umlaut": "für",
    "other script": "日本",
    "no-break space first": "\u00a0a",
    "line separator": "a\u2028b",
    "no UTF-8": "a\udcff",
    "too long": "L" * (LONGEST_VALUE_BYTES + 1),
    "too long for Compose": "L" * 70_000,
}

KEYS: Final = ("OPENAI_API_KEY", "DOMAIN", "REDIS_PASSWORD")
"""The worker reads the first one, raw; Compose the others for nginx and Redis, by its own rules."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's directory, where the worker could be started, too."""
    for name in HOST_VALUES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(lay_out(tmp_path / "wearon"))
    return tmp_path / "wearon"


def by_the_scripts(home: Path, command: str) -> "subprocess.CompletedProcess[bytes]":
    """A line of bash that has what the scripts have."""
    return subprocess.run(
        ["bash", "-c", f'set -Eeuo pipefail; source "$1/scripts/lib/all.sh"; {command}', "-", REPOSITORY],
        env={"PATH": "/usr/bin:/bin", "WEARON_HOME": str(home)},
        capture_output=True,
        check=False,
    )


def read_by_the_scripts(home: Path, name: str) -> str:
    """One value."""
    return by_the_scripts(home, f'read_env_value "$ENV_FILE" {name}').stdout.decode()


@pytest.mark.parametrize("value", ARRIVES.values(), ids=ARRIVES)
def test_a_value_that_may_stay_is_the_same_to_every_reader(home: Path, value: str) -> None:
    write_env(home, {**HOST_VALUES, **dict.fromkeys(KEYS, value)})
    checked = by_the_scripts(home, 'check_env_file "$ENV_FILE"')
    assert (checked.returncode, checked.stderr) == (0, b"")
    stack = services(home)
    assert environment(stack["worker"])["OPENAI_API_KEY"] == value
    assert environment(stack["nginx"])["DOMAIN"] == value
    assert environment(stack["redis"])["REDISCLI_AUTH"] == value
    assert load_settings().openai_api_key.get_secret_value() == value
    assert read_by_the_scripts(home, "OPENAI_API_KEY") == value


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_any_other_is_refused_by_the_worker_and_on_the_host_without_being_repeated(home: Path, value: str) -> None:
    write_env(home, {**HOST_VALUES, "OPENAI_API_KEY": f"s3cr3t{value}" if value.strip("L") == "" else value})
    with pytest.raises(SettingsError) as refused:
        load_settings()
    checked = by_the_scripts(home, 'check_env_file "$ENV_FILE"')
    said = checked.stderr.decode()
    assert checked.returncode == 3
    for words in (str(refused.value), said):
        assert "OPENAI_API_KEY" in words or "neither a comment" in words or "NUL" in words
        assert "s3cr3t" not in words
        assert "LLL" not in words


@pytest.mark.parametrize("value", [value for value in REFUSED.values() if "\x00" not in value and "\n" not in value])
def test_both_checks_say_the_same_words(home: Path, value: str) -> None:
    write_env(home, {"OPENAI_API_KEY": value})
    (ours,) = file_faults((home / ".env").read_bytes().decode(errors="replace"))
    said = by_the_scripts(home, 'check_env_file "$ENV_FILE"').stderr.decode()
    assert f"{ours}." in said


@pytest.mark.parametrize(
    "line",
    ["export A=1", " A=1", "A", "A =1", "A: 1", "1A=1", "A-B=1", "=1", " # comment", "\ufeffA=1"],
)
def test_a_line_that_is_no_key_and_value_is_refused_by_both(home: Path, line: str) -> None:
    (home / ".env").write_text(f"# a comment\n\n{line}\n", encoding="utf-8")
    (ours,) = file_faults((home / ".env").read_text(encoding="utf-8"))
    said = by_the_scripts(home, 'check_env_file "$ENV_FILE"').stderr.decode()
    assert ours.startswith("line 3 is neither a comment nor KEY=VALUE")
    assert ours in said


def test_a_key_that_stands_there_twice_is_refused_by_both(home: Path) -> None:
    (home / ".env").write_text("A=1\nB=2\nA=3\n")
    assert list(file_faults("A=1\nB=2\nA=3\n")) == ["line 3 has A for the second time"]
    assert "line 3 has A for the second time" in by_the_scripts(home, 'check_env_file "$ENV_FILE"').stderr.decode()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="$"), min_size=1)
        .map(str.strip)
        .filter(lambda value: bool(value) and value_fault(value) is None),
        min_size=1,
        max_size=40,
    )
)
def test_whatever_the_rule_lets_through_arrives(home: Path, values: list[str]) -> None:
    named = {f"VALUE_{number}": value for number, value in enumerate(values)}
    write_env(home, {**HOST_VALUES, **named})
    assert list(file_faults((home / ".env").read_text())) == []
    worker = environment(services(home)["worker"])
    assert {name: worker[name] for name in named} == named
    assert dotenv_values(home / ".env").items() >= named.items()
    command = "; ".join(f"read_env_value \"$ENV_FILE\" {name}; printf '\\0'" for name in named)
    assert by_the_scripts(home, command).stdout.decode().split("\0")[:-1] == values
