"""The pipeline: least rights, the README's command, and no deploy that has begun is stopped (FR-7.7, ADR 0118)."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

REPOSITORY: Final = Path(__file__).resolve().parents[3]
TEXT: Final = (REPOSITORY / ".github" / "workflows" / "ci-cd.yml").read_text(encoding="utf-8")
WORKFLOW: Final[dict[Any, Any]] = yaml.safe_load(TEXT)
JOBS: Final[dict[str, Any]] = WORKFLOW["jobs"]
ON: Final = WORKFLOW[True]
"""``on``, which YAML 1.1 reads as a truth."""


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in JOBS[job]["steps"])


def test_every_action_is_pinned_by_commit_and_says_its_version() -> None:
    used = re.findall(r"uses: (.+)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"actions/checkout@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_rights_begin_at_none_and_only_the_push_may_write_packages() -> None:
    assert WORKFLOW["permissions"] == {}
    writing = {
        job: [name for name, right in parts["permissions"].items() if right == "write"] for job, parts in JOBS.items()
    }
    assert {job: names for job, names in writing.items() if names} == {"push": ["packages"]}


def test_no_credentials_stay_in_a_checkout() -> None:
    checkouts = [step for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_pull_requests_run_the_readmes_test_command_lint_and_a_build() -> None:
    assert "pull_request" in ON
    assert "make test " in (REPOSITORY / "README.md").read_text()
    assert commands("test").split() == ["make", "lint", "make", "test"]
    assert "docker buildx build" in commands("build")
    assert "pull_request_target" not in ON


@pytest.mark.parametrize("job", ["push", "deploy"])
def test_only_main_is_pushed_and_deployed(job: str) -> None:
    assert ON["push"] == {"branches": ["main"]}
    assert JOBS[job]["if"] == "github.event_name == 'push'"


def test_the_deploy_comes_after_the_push_and_that_after_the_tests() -> None:
    assert JOBS["push"]["needs"] == "test"
    assert JOBS["deploy"]["needs"] == "push"


def test_a_deploy_is_protected_and_never_cancelled() -> None:
    assert JOBS["deploy"]["environment"]["name"] == "production"
    assert JOBS["deploy"]["concurrency"] == {"group": "deploy", "cancel-in-progress": False}
    assert WORKFLOW["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


def test_the_hosts_key_is_pinned_and_the_host_hears_one_command() -> None:
    said = commands("deploy")
    assert "StrictHostKeyChecking=yes" in said
    assert '"deploy $GITHUB_SHA"' in said
    assert "keyscan" not in said
    assert ".env" not in said
    assert "scp" not in said


def test_expressions_come_to_a_shell_only_as_variables() -> None:
    assert [job for job in JOBS if "${{" in commands(job)] == []


def test_what_is_pushed_has_lower_case_names_also_for_an_owner_with_capitals() -> None:
    [build] = [step["run"] for step in JOBS["push"]["steps"] if "--push" in step.get("run", "")]
    done = subprocess.run(
        ["bash", "-euc", f"docker() {{ printf '%s\\n' \"$@\"; }}\n{build}"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "GITHUB_REPOSITORY_OWNER": "WearOn-Shop", "GITHUB_SHA": "c0ffee"},
        capture_output=True,
        text=True,
        check=True,
    )
    names = re.findall(r"ghcr\.io/[^,\s]+", done.stdout, re.IGNORECASE)
    image = "ghcr.io/wearon-shop/wearon-worker"
    assert names == [f"{image}:build-cache"] * 2 + [
        f"{image}:c0ffee",
        f"{image}-whatsapp-bridge:c0ffee",
        f"{image}-bundle:c0ffee",
    ]
    assert "repository_owner" not in TEXT, "an expression cannot make it lower case"


def test_the_bundle_has_what_the_scripts_take_out_of_it() -> None:
    names = (REPOSITORY / "scripts" / "lib" / "names.sh").read_text()
    parts = re.search(r"BUNDLE_PARTS=\(([^)]*)\)", names)
    assert parts
    copied = (REPOSITORY / "bundle.Dockerfile").read_text()
    allowed = (REPOSITORY / "bundle.Dockerfile.dockerignore").read_text()
    for part in parts[1].split():
        assert re.search(rf"^COPY .*\b{re.escape(part)}", copied, re.MULTILINE), part
        assert re.search(rf"^!{re.escape(part)}", allowed, re.MULTILINE), part
