"""The production image as an engine has it: what is in it, who it is, and that both builders make the same."""

from concurrent.futures import Future
from typing import Final

import pytest

from tests.infra.conftest import REVISION, VERSION
from tests.infra.engine.rig import Rig
from tests.unit.production.test_image import RUNS

NARROW: Final = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
"""As in compose/services.yml, without a network."""

TO_BUILD_OR_TO_FETCH_WITH: Final = ("pip", "pip3", "uv", "gcc", "cc", "g++", "make", "git", "curl", "wget")

EVERY_FILE: Final = "find /app /opt/venv -printf '%M %u:%g %p\\n' | sort"
"""With mode and owner; times and sizes of compiled files differ from one build to the next."""


def inside(rig: Rig, image: str, script: str) -> str:
    """What a shell script says in a new container."""
    return rig.docker("run", *NARROW, image, "sh", "-c", script)


@pytest.fixture(scope="module")
def built_twice(rig: Rig, classic_image: Future[str]) -> tuple[str, str]:
    """The image by BuildKit, of every run, and the same by the classic builder, with version and commit."""
    image = f"{rig.images.worker}:{rig.images.worker_tag}"
    return image, classic_image.result()


def test_the_image_has_what_runs_and_nothing_to_build_with(rig: Rig, built_twice: tuple[str, str]) -> None:
    image, _ = built_twice
    assert set(inside(rig, image, "ls -A /app").split()) == RUNS
    assert (
        inside(rig, image, f"for name in {' '.join(TO_BUILD_OR_TO_FETCH_WITH)}; do command -v $name || :; done") == ""
    )
    modules = "import importlib.util as u; print([m for m in ('pip', 'ensurepip') if u.find_spec(m)])"
    assert inside(rig, image, f'python -c "{modules}"') == "[]"


def test_nothing_in_it_can_be_changed_by_the_worker_also_without_a_read_only_root(
    rig: Rig, built_twice: tuple[str, str]
) -> None:
    image, _ = built_twice
    search = "id -u; find / -xdev -type f -writable 2>/dev/null || :"  # find says 1 where it may not look
    assert rig.docker("run", "--rm", "--network=none", image, "sh", "-c", search) == "10001"


def test_both_builders_make_the_same_files_with_the_same_modes(rig: Rig, built_twice: tuple[str, str]) -> None:
    by_buildkit, by_classic = (inside(rig, image, EVERY_FILE).splitlines() for image in built_twice)
    assert len(by_buildkit) > 1_000
    assert set(by_buildkit) ^ set(by_classic) == set()
    rig.report.proved(
        "the Dockerfile unchanged by BuildKit and by the classic builder",
        f"the same {len(by_buildkit)} files; no pip, no compiler, no test in them",
        stand_ins=("python",),
    )


def test_the_image_says_version_and_commit_and_who_it_runs_as(rig: Rig, built_twice: tuple[str, str]) -> None:
    _, classic = built_twice
    config = rig.docker.inspect(classic)["Config"]
    assert config["Labels"]["org.opencontainers.image.version"] == VERSION
    assert config["Labels"]["org.opencontainers.image.revision"] == REVISION
    assert {f"WEARON_VERSION={VERSION}", f"WEARON_COMMIT={REVISION}"} <= set(config["Env"]), "for wearon_build_info"
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"] == ["CMD", "wearon", "health"]
