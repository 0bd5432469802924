"""Which images the stack runs: each by its full tag, none below the floor that a known attack has set."""

import re
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[3]

FULL_TAG: Final = re.compile(r"(?P<repository>[a-z0-9._/-]+):v?(?P<version>\d+(\.\d+)+)(-[a-z0-9.]+)?")
"""As many numbers as the floor has: with fewer, the registry decides what runs tomorrow. No digest: it would bind the
stack to one registry's copy, and the deploy records the digest that it pulled."""

FLOORS: Final = {
    "NGINX_IMAGE": (
        (1, 30, 7),
        "NGINX2Root (CVE-2026-123007 and eight more, 18 November 2026): code execution through HTTP/2, an endless loop "
        "over TLS 1.3 and a use after free in the resolver, all of which we use; fixed in 1.30.7 and 1.31.9",
    ),
    "REDIS_IMAGE": ((7, 4, 11), "the security fixes of the 7.4 line up to August 2026"),
    "PSQL_IMAGE": ((17, 7), "psql 17 talks to servers 9.2 to 17 and, for this, to newer ones"),
    "CERTBOT_IMAGE": ((5, 8, 0), "the release whose renewal behaviour the scripts were tried with"),
    "PROMETHEUS_IMAGE": ((3, 16, 0), "the newest; before 3.0 it is another language of regular expressions"),
    "GRAFANA_IMAGE": (
        (13, 2, 3),
        "open to the internet: CVE-2026-27876, -17183, -12704, -14199, -15815, -76154, -79656 are fixed by 13.2.2",
    ),
    "LOKI_IMAGE": ((3, 7, 6), "from 3.6.5 on it has the health check that is asked here"),
    "ALLOY_IMAGE": ((1, 21, 2), "older ones speak an API that Docker Engine 29 refuses (grafana/alloy #5610)"),
    "CELERY_EXPORTER_IMAGE": ((0, 12, 2), "the newest; earlier ones keep the series of workers that are gone"),
    "NODE_EXPORTER_IMAGE": ((1, 10, 2), "1.10.0 and 1.10.1 read mount points several times"),
    "REDIS_EXPORTER_IMAGE": ((1, 89, 0), "the newest that was looked at"),
    "NGINX_EXPORTER_IMAGE": ((1, 5, 3), "1.5.0 to 1.5.2 were withdrawn, or were built with a Go that had holes"),
    "BLACKBOX_EXPORTER_IMAGE": ((0, 29, 1), "the newest that was looked at"),
}
"""Lowest version, and why."""

MAINLINE_FLOOR: Final = (1, 31, 9)
"""nginx's other branch: 1.31.0 to 1.31.8 are above 1.30.7 as numbers and have the same holes."""


def pins() -> dict[str, str]:
    """What ``versions.env`` says."""
    lines = (REPOSITORY / "versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def is_below_floor(name: str, image: str) -> bool:
    """Whether an image of this name is too old."""
    found = FULL_TAG.fullmatch(image)
    floor, _ = FLOORS[name]
    version = tuple(map(int, found["version"].split("."))) if found else ()
    assert len(version) == len(floor), f"{name}={image} has no full tag"
    return version < floor or (name == "NGINX_IMAGE" and (1, 31) <= version < MAINLINE_FLOOR)


@pytest.mark.parametrize(("name", "image"), [it for it in pins().items() if it[0] != "WORKER_IMAGE"])
def test_a_pin_is_a_full_tag_that_is_not_below_its_floor(name: str, image: str) -> None:
    assert not is_below_floor(name, image), FLOORS[name][1]


@pytest.mark.parametrize(
    ("name", "image", "below"),
    [
        ("NGINX_IMAGE", "nginx:1.30.6-alpine", True),
        ("NGINX_IMAGE", "nginx:1.30.7-alpine", False),
        ("NGINX_IMAGE", "nginx:1.31.8-alpine", True),
        ("NGINX_IMAGE", "nginx:1.31.9-alpine", False),
        ("NGINX_IMAGE", "nginx:1.32.0-alpine", False),
        ("REDIS_IMAGE", "redis:7.4.9-alpine", True),
        ("REDIS_IMAGE", "redis:8.10.0-alpine", False),
    ],
)
def test_the_floor_knows_both_branches_and_compares_numbers(name: str, image: str, below: bool) -> None:
    assert is_below_floor(name, image) is below


@pytest.mark.parametrize(
    "image", ["nginx:alpine", "nginx:1.30-alpine", "nginx", "nginx:latest", "nginx:1.30.7@sha256:0"]
)
def test_a_tag_that_moves_is_no_pin(image: str) -> None:
    with pytest.raises(AssertionError, match="no full tag"):
        is_below_floor("NGINX_IMAGE", image)


def test_the_worker_has_no_tag_there() -> None:
    assert re.fullmatch(r"[a-z0-9./-]+", pins()["WORKER_IMAGE"])


def test_every_image_that_the_services_and_scripts_name_is_pinned_and_no_other() -> None:
    services = (REPOSITORY / "compose" / "services.yml").read_text()
    scripts = "".join(script.read_text() for script in (REPOSITORY / "scripts").rglob("*.sh"))
    named = re.findall(r"\$\{([A-Z_]+_IMAGE)[:}]", services) + re.findall(r'"\$VERSIONS_FILE" ([A-Z_]+_IMAGE)', scripts)
    assert set(named) == set(pins())
    assert set(pins()) - {"WORKER_IMAGE"} == set(FLOORS)


def test_development_runs_the_same_redis() -> None:
    assert f"image: {pins()['REDIS_IMAGE']}\n" in (REPOSITORY / "docker-compose.yml").read_text()
