"""docs/first-hour.md says the numbers and names that are in the files: it is read once, by somebody who trusts it."""

import re
from typing import Any, Final

from tests.support.tracked import REPOSITORY
from tests.support.yaml_files import read_yaml

PAGE: Final = (REPOSITORY / "docs" / "first-hour.md").read_text(encoding="utf-8")
SERVICES: Final[dict[str, Any]] = read_yaml(REPOSITORY / "compose" / "services.yml")["services"]
STARTED: Final = {name for name, service in SERVICES.items() if "profiles" not in service}
JOBS: Final = read_yaml(REPOSITORY / "monitoring" / "prometheus" / "prometheus.yml")["scrape_configs"]
LOKI: Final[dict[str, Any]] = read_yaml(REPOSITORY / "monitoring" / "loki" / "loki-config.yml")


def test_as_many_lines_and_targets_are_expected_as_there_are() -> None:
    assert f"| {len(STARTED)} lines;" in re.sub(r"`docker compose ps` \| ", "| ", PAGE)
    assert f'ends with `"{len(JOBS)}"]`' in PAGE
    assert f"({len(JOBS) + 1} while a deploy runs two workers)" in PAGE


def test_every_service_that_is_named_is_there() -> None:
    named = set(re.findall(r"docker compose (?:exec|stop|restart) ([a-z-]+)", PAGE))
    named |= set(re.findall(r"docker compose logs ([a-z]+[a-z-]*)", PAGE))
    assert named <= STARTED


def test_the_owners_of_volumes_are_those_that_the_services_run_as() -> None:
    told = dict(re.findall(r"^\| `wearon_([a-z-]+)` \| (\d+)", PAGE, re.MULTILINE))
    written_by = {
        volume.split(":")[0]: service["user"].split(":")[0]
        for name, service in SERVICES.items()
        if name not in {"redis", "nginx", "certbot"}
        for volume in service.get("volumes", ())
        if isinstance(volume, str) and not volume.endswith(":ro")
    }
    assert told == written_by


def test_what_loki_must_show_is_what_its_file_says() -> None:
    assert f"`ingestion_rate_mb: {LOKI['limits_config']['ingestion_rate_mb']}`" in PAGE
    assert f"`working_directory: {LOKI['compactor']['working_directory']}`" in PAGE
    assert LOKI["limits_config"]["retention_period"] == "168h", "which Loki shows as 1w"


def test_every_link_and_image_is_one_that_there_is() -> None:
    (nginx,) = re.findall(r"^NGINX_IMAGE=(\S+)$", (REPOSITORY / "versions.env").read_text(), re.MULTILINE)
    assert set(re.findall(r"nginx:\d[\w.-]+", PAGE)) == {nginx}
    for script in re.findall(r"scripts/[a-z-]+\.sh", PAGE):
        assert (REPOSITORY / script).is_file()
