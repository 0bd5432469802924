"""docs/operations.md names what is there: an operator at night must not look for a script that was renamed."""

import re
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[3]
PAGE: Final = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")

SCRIPTS: Final = sorted(set(re.findall(r"scripts/[a-z-]+\.sh", PAGE)))
OPTIONS: Final = sorted(set(re.findall(r"(scripts/[a-z-]+\.sh)[^\n`]*?(--[a-z-]+)", PAGE)))
FILES: Final = sorted(
    set(re.findall(r"(?<!/)\b(?:nginx|compose|redis|docs|\.github)/[a-z0-9./-]+\.[a-z]+", PAGE)) | {"versions.env"}
)
SETTINGS: Final = sorted(set(re.findall(r"`([A-Z][A-Z0-9_]{5,})`", PAGE)))
NOT_SETTINGS: Final = frozenset(
    {"DATABASE_URL", "NGINX_IMAGE", "GRAFANA_IMAGE", "DEPLOY_KEY", "DEPLOY_HOST", "DEPLOY_USER", "DEPLOY_KNOWN_HOSTS"}
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_is_there_and_explains_itself(script: str) -> None:
    assert (REPOSITORY / script).stat().st_mode & 0o111


@pytest.mark.parametrize(("script", "option"), OPTIONS)
def test_each_option_is_known_to_its_script(script: str, option: str) -> None:
    assert re.search(
        rf"^ *({option}|[^)\n]*\| ?{option}|{option} \|[^)\n]*)\)", (REPOSITORY / script).read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("file", FILES)
def test_each_file_is_there(file: str) -> None:
    assert (REPOSITORY / file).is_file()


@pytest.mark.parametrize("setting", sorted(set(SETTINGS) - NOT_SETTINGS))
def test_each_setting_is_in_the_example(setting: str) -> None:
    assert re.search(rf"^(# )?{setting}=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)


def test_what_is_named_beside_settings_is_in_the_files_that_use_it() -> None:
    used = "".join(
        (REPOSITORY / file).read_text()
        for file in ("versions.env", ".github/workflows/ci-cd.yml", "scripts/lib/migrations.sh")
    )
    assert [name for name in sorted(NOT_SETTINGS) if name not in used] == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([a-z./A-Z-]+\.md)[)#]", PAGE))))
def test_each_link_leads_somewhere(link: str) -> None:
    assert (REPOSITORY / "docs" / link).is_file()


def test_each_service_is_in_the_compose_file() -> None:
    services = (REPOSITORY / "compose" / "services.yml").read_text()
    for service in set(re.findall(r"docker-compose\.prod\.yml (?:exec|pull) (?:-T )?([a-z]+)", PAGE)):
        assert re.search(rf"^  {service}:", services, re.MULTILINE), service
