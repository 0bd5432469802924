"""`.env.example` says everything about the settings, and nothing else; the table in docs/settings.md has them all."""

import re
from pathlib import Path
from typing import Final

import pytest
from pydantic_core import PydanticUndefined

from config.settings import Settings, SettingsError, load_settings

REPOSITORY: Final = Path(__file__).resolve().parents[3]
EXAMPLE: Final = REPOSITORY / ".env.example"
TABLE: Final = REPOSITORY / "docs" / "settings.md"

ASSIGNMENT: Final = re.compile(r"(?P<off># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")

READ_BY_OTHERS: Final = {
    "MALLOC_ARENA_MAX": "the C library",
    "WORKER_IMAGE": "Compose",
    "REDIS_PASSWORD": "the host's Redis",
    "DOMAIN": "nginx",
    "CERTBOT_EMAIL": "certbot",
    "GF_SECURITY_ADMIN_PASSWORD": "Grafana",
    "GF_SMTP_ENABLED": "Grafana",
    "GF_SMTP_HOST": "Grafana",
    "GF_SMTP_USER": "Grafana",
    "GF_SMTP_PASSWORD": "Grafana",
    "GF_SMTP_FROM_ADDRESS": "Grafana",
    "ALERT_EMAIL_TO": "Grafana",
    "DEADMAN_URL": "Grafana",
    "DOCKER_SOCKET": "Compose",
    "WHATSAPP_WEBHOOK_SECRET": "Grafana and the alert bridge",
    "WHATSAPP_ACCESS_TOKEN": "the alert bridge",
    "WHATSAPP_PHONE_NUMBER_ID": "the alert bridge",
    "WHATSAPP_RECIPIENTS": "the alert bridge",
    "WHATSAPP_TEMPLATE_NAME": "the alert bridge",
    "WHATSAPP_TEMPLATE_LANGUAGE": "the alert bridge",
    "WHATSAPP_API_VERSION": "the alert bridge",
    "WHATSAPP_API_BASE_URL": "the alert bridge",
}
"""What the file has beyond the worker's settings, and whose it is."""

NOT_FOR_A_PERSON: Final = {
    "WEARON_EXECUTOR": "set by the main process for its child",
    "WEARON_LINK_FD": "set by the main process for its child",
    "PYTHONPATH": "Python's own, handed on to the child",
}
"""What the code reads and nobody needs to set."""

LOCAL_VALUES: Final = {"REDIS_URL"}
"""Required, but with a value that works on a developer's machine."""

ENVIRONMENT_READ: Final = re.compile(r"environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"|getenv\(\s*\"([A-Z_]+)\"")
WORKER_PACKAGES: Final = ("config", "models", "services", "worker", "size_rec")


def entries() -> dict[str, re.Match[str]]:
    """Every setting of the file, switched on or commented out."""
    found = [match for line in EXAMPLE.read_text().splitlines() if (match := ASSIGNMENT.fullmatch(line))]
    names = [match["name"] for match in found]
    assert len(set(names)) == len(names), "each stands there once"
    return dict(zip(names, found, strict=True))


def explanation_above(name: str) -> str:
    """The comment lines directly above a setting."""
    lines = EXAMPLE.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if (match := ASSIGNMENT.fullmatch(line)) and match["name"] == name)
    comment: list[str] = []
    while at and lines[at - 1].startswith("# ") and not ASSIGNMENT.fullmatch(lines[at - 1]):
        at -= 1
        comment.insert(0, lines[at].removeprefix("# "))
    return " ".join(comment)


SETTINGS: Final = {name.upper(): field for name, field in Settings.model_fields.items()}
REQUIRED: Final = sorted(name for name, field in SETTINGS.items() if field.is_required())
OPTIONAL: Final = sorted(set(SETTINGS) - set(REQUIRED))


def test_the_file_has_every_setting_and_no_other() -> None:
    assert set(entries()) == set(SETTINGS) | set(READ_BY_OTHERS)


def test_the_table_of_the_documents_has_every_setting_with_its_default_and_no_other() -> None:
    shown: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`[A-Z_`, ]+`) \| ([^|]+) \|", TABLE.read_text(), re.MULTILINE):
        shown.update(zip(names.replace("`", "").split(", "), defaults.replace("`", "").split(", "), strict=True))
    assert set(shown) == set(SETTINGS)
    assert sorted(name for name, default in shown.items() if default == "–") == REQUIRED  # noqa: RUF001
    for name in OPTIONAL:
        default = SETTINGS[name].default
        if isinstance(default, int | float):
            assert shown[name].split()[0] == f"{default:g}", name
        elif default:
            assert shown[name] == default, name


def test_what_the_code_reads_past_the_settings_is_there_too() -> None:
    sources = [
        REPOSITORY / "main.py",
        *(path for name in WORKER_PACKAGES for path in (REPOSITORY / name).rglob("*.py")),
    ]
    read = {name for path in sources for pair in ENVIRONMENT_READ.findall(path.read_text()) for name in pair if name}
    assert "MALLOC_ARENA_MAX" in read, "the search finds what there is"
    assert read <= set(entries()) | set(NOT_FOR_A_PERSON)


@pytest.mark.parametrize("name", sorted(entries()))
def test_each_has_a_line_of_explanation(name: str) -> None:
    assert re.search(r"\w+ \w+.*\.", explanation_above(name)) or "," in explanation_above(name)


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_setting_is_commented_out_and_shows_its_default(name: str) -> None:
    entry, default = entries()[name], SETTINGS[name].default
    assert entry["off"], "so that a later default reaches everybody"
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    assert entry["value"] == shown
    assert default is not PydanticUndefined


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_setting_is_there_to_be_filled_in(name: str) -> None:
    assert not entries()[name]["off"]
    assert explanation_above(name).startswith("Required.")


def test_an_unchanged_copy_is_refused_naming_all_that_must_be_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    with pytest.raises(SettingsError) as refused:
        load_settings()
    named = set(re.findall(r"^  ([A-Z_]+):", str(refused.value), re.MULTILINE))
    assert named == set(REQUIRED) - LOCAL_VALUES


def test_a_copy_with_the_required_ones_filled_in_is_taken_and_equals_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = {
        "SUPABASE_URL": "https://abcdefgh.supabase.co",
        "SUPABASE_SERVICE_ROLE_KEY": "service-key-1",
        "OPENAI_API_KEY": "sk-live-1",
    }
    everything_on = re.sub(r"^# (?=[A-Z][A-Z0-9_]*=)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(everything_on)
    for name, value in filled.items():
        monkeypatch.setenv(name, value)
    with_every_line = load_settings()
    (tmp_path / ".env").write_text("REDIS_URL=redis://localhost:6379/0\n")
    assert with_every_line == load_settings()


@pytest.mark.parametrize("name", sorted(name for name in entries() if re.search("KEY|PASSWORD|TOKEN", name)))
def test_no_secret_has_a_value_that_could_be_one(name: str) -> None:
    assert entries()[name]["value"].startswith(("your-", "change-me"))
