"""The production image is made of what runs and of nothing else, by instructions that every builder knows."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from proofs.image_size import Instruction, stages_of
from tests.support.image_tree import Ignored
from worker.series.build_info import COMMIT_VARIABLE, VERSION_VARIABLE

REPOSITORY: Final = Path(__file__).resolve().parents[3]
DOCKERFILE: Final = (REPOSITORY / "Dockerfile").read_text()
BUILD, BRIDGE_BUILD, BRIDGE, IMAGE = stages_of(DOCKERFILE)
CONTEXT: Final = Ignored.parse((REPOSITORY / ".dockerignore").read_text())
HADOLINT: Final = Path(sys.executable).parent / "hadolint"

RUNS: Final = frozenset({"bin", "config", "main.py", "models", "operations", "services", "size_rec", "web", "worker"})
BUILDS: Final = frozenset({"image", "requirements.txt", "requirements-networks.txt"})
BRIDGE_RUNS: Final = frozenset({"monitoring/__init__.py", "monitoring/whatsapp_bridge"})
BRIDGE_BUILDS: Final = frozenset({"image", "requirements-whatsapp-bridge.txt"})
WHOLE_CONTEXT: Final = RUNS | BUILDS | BRIDGE_RUNS | BRIDGE_BUILDS

NEVER_IN_THE_CONTEXT: Final = (
    ".env",
    ".env.production",
    "release.env",
    ".git/config",
    ".venv/bin/python",
    ".sandbox/log",
    "tests/conftest.py",
    "sandbox/__main__.py",
    "proofs/bench/__main__.py",
    "docs/operating.md",
    "monitoring/grafana/grafana.ini",
    "monitoring/dashboards/__main__.py",
    "supabase/migrations/1.sql",
    "requirements-dev.txt",
    "config/__pycache__/settings.cpython-312.pyc",
    "worker/intake/__pycache__/consumer.cpython-312.pyc",
)
"""Secrets, and what is big or for developers only; git does not know all of it, and a builder would take it."""


def versioned_files() -> list[PurePosixPath]:
    """As git knows them, or would after ``git add``; in a copy without git, those of the folders that run."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.splitlines() or [
        path.relative_to(REPOSITORY).as_posix()
        for top in sorted(WHOLE_CONTEXT)
        for path in (REPOSITORY / top, *(REPOSITORY / top).rglob("*"))
    ]
    return [PurePosixPath(name) for name in names if (REPOSITORY / name).is_file()]


def rest_of(stage: Sequence[Instruction], keyword: str) -> list[str]:
    """What stands behind each such keyword."""
    return [instruction.rest for instruction in stage if instruction.keyword == keyword]


def copied(stage: Sequence[Instruction]) -> set[str]:
    """What a stage takes out of the build context."""
    copies = [rest.split()[:-1] for rest in rest_of(stage, "COPY") if not rest.startswith("--from=")]
    return {source for sources in copies for source in sources}


def test_the_build_context_is_what_the_dockerfile_copies() -> None:
    context = [path for path in versioned_files() if CONTEXT.has(path)]
    assert {path.parts[0] for path in context} == {PurePosixPath(name).parts[0] for name in WHOLE_CONTEXT}


@pytest.mark.parametrize("name", NEVER_IN_THE_CONTEXT)
def test_a_secret_or_a_developers_file_never_reaches_a_builder(name: str) -> None:
    assert not CONTEXT.has(PurePosixPath(name))


def test_the_image_gets_what_runs_and_the_build_stage_the_rest() -> None:
    assert copied(IMAGE) == RUNS
    assert {PurePosixPath(source).parts[0] for source in copied(BUILD)} - {"size_rec"} == BUILDS


def test_the_bridge_s_image_gets_the_bridge_and_its_packages() -> None:
    assert copied(BRIDGE) == BRIDGE_RUNS
    assert copied(BRIDGE_BUILD) == BRIDGE_BUILDS


def test_a_build_without_a_target_makes_the_worker() -> None:
    assert IMAGE[0].rest == "${BASE_IMAGE}", "the last stage, which needs no name"
    assert rest_of(IMAGE, "CMD") == ['["python", "main.py"]']
    assert rest_of(BRIDGE, "CMD") == ['["python", "-m", "monitoring.whatsapp_bridge", "serve"]']


@pytest.mark.parametrize(("stage", "packages"), [(IMAGE, "packages"), (BRIDGE, "whatsapp-bridge-packages")])
def test_from_the_build_stage_only_the_packages_are_taken(stage: Sequence[Instruction], packages: str) -> None:
    taken = [rest for rest in rest_of(stage, "COPY") if rest.startswith("--from=")]
    assert taken == [f"--from={packages} /opt/venv /opt/venv"]


def test_all_stages_stand_on_a_base_that_can_be_named_and_that_says_its_debian_release() -> None:
    assert re.search(r"^ARG BASE_IMAGE=python:3\.12-slim-bookworm$", DOCKERFILE, re.MULTILINE)
    assert [stage[0].rest for stage in (BUILD, BRIDGE_BUILD, BRIDGE, IMAGE)] == [
        "${BASE_IMAGE} AS packages",
        "${BASE_IMAGE} AS whatsapp-bridge-packages",
        "${BASE_IMAGE} AS whatsapp-bridge",
        "${BASE_IMAGE}",
    ]


@pytest.mark.parametrize(("build", "image"), [(BUILD, IMAGE), (BRIDGE_BUILD, BRIDGE)])
def test_neither_pip_nor_the_means_to_get_it_back_is_left_in_the_base(
    build: Sequence[Instruction], image: Sequence[Instruction]
) -> None:
    removed = " ".join(rest_of(image, "RUN")).partition(" rm -rf ")[2]
    assert all(place in removed for place in ("ensurepip.__path__", "/usr/local/bin/pip*", "/site-packages/pip*"))
    assert rest_of(build, "RUN")[-1].endswith("rm /opt/venv/bin/pip*"), "its programs lie outside the packages"


@pytest.mark.parametrize(("image", "user"), [(IMAGE, "10001:10001"), (BRIDGE, "10002:10002")])
def test_it_runs_as_a_number_so_that_every_engine_sees_that_it_is_not_root(
    image: Sequence[Instruction], user: str
) -> None:
    assert rest_of(image, "USER") == [user]
    after_it = image[image.index(Instruction("USER", user)) :]
    assert not [it for it in after_it if it.keyword in {"RUN", "COPY", "ADD"}], "what it runs is not its own"


def test_every_builder_knows_all_instructions() -> None:
    assert not re.search(r"^# *syntax *=", DOCKERFILE, re.MULTILINE), "needs a registry before the build begins"
    everything = BUILD + BRIDGE_BUILD + BRIDGE + IMAGE
    assert "--mount" not in " ".join(rest_of(everything, "RUN"))
    assert not [it for it in everything if it.keyword in {"COPY", "ADD"} and it.rest.startswith(("--ch", "--link"))]
    assert "<<" not in DOCKERFILE


def test_version_and_commit_are_labels_and_known_to_the_worker_and_change_no_layer_above_them() -> None:
    (labels,) = rest_of(IMAGE, "LABEL")
    assert 'org.opencontainers.image.version="${VERSION}"' in labels
    assert 'org.opencontainers.image.revision="${REVISION}"' in labels
    known = rest_of(IMAGE, "ENV")[-1]
    assert f'{VERSION_VARIABLE}="${{VERSION}}"' in known
    assert f'{COMMIT_VARIABLE}="${{REVISION}}"' in known
    last = [instruction.keyword for instruction in IMAGE[-5:]]
    assert last == ["ARG", "ARG", "ARG", "LABEL", "ENV"]


def test_the_bridge_s_labels_are_its_own_and_change_no_layer_above_them() -> None:
    (labels,) = rest_of(BRIDGE, "LABEL")
    assert 'title="wearon-worker-whatsapp-bridge"' in labels
    assert 'version="${VERSION}"' in labels
    assert 'revision="${REVISION}"' in labels
    assert [instruction.keyword for instruction in BRIDGE[-4:]] == ["ARG", "ARG", "ARG", "LABEL"]


def test_the_bridge_s_queue_has_a_directory_that_a_new_volume_takes_its_owner_from() -> None:
    made = " ".join(rest_of(BRIDGE, "RUN"))
    assert "install -d -o bridge -g bridge -m 0700 /var/lib/whatsapp-bridge" in made
    (check,) = rest_of(BRIDGE, "HEALTHCHECK")
    assert check.endswith('CMD ["python", "-m", "monitoring.whatsapp_bridge", "health"]')


def test_make_build_says_version_and_commit() -> None:
    printed = subprocess.run(
        ["make", "--dry-run", "build"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r'--build-arg (\w+)="\$\((.*)\)"', printed)
    said = {
        name: subprocess.run(
            ["sh", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.strip()
        for name, command in commands
    }
    assert re.fullmatch(r"\d+\.\d+\.\d+", said["VERSION"])
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", said["REVISION"])


def test_the_health_check_is_the_operators_own_word() -> None:
    (check,) = rest_of(IMAGE, "HEALTHCHECK")
    assert check.endswith('CMD ["wearon", "health"]')


def test_hadolint_finds_nothing() -> None:
    linted = subprocess.run([HADOLINT, "Dockerfile"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.replace("USER 10001:10001", "USER worker"))
    linted = subprocess.run([HADOLINT, "Dockerfile"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "DL3066" in linted.stdout
