"""The commit to compare with: its files in a temporary git worktree, its packages in an environment of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]

NOT_HANDED_ON: Final = ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
"""Of our environment: the base installs itself by its own ``make install``, as if nobody had called ours."""


class BaseUnusable(Exception):
    """The commit cannot be had or not be installed; the message is for whoever asked for it."""


@contextmanager
def base_tree(commit: str, repository: Path = REPOSITORY) -> Iterator[Path]:
    """The commit's files, installed as its own Makefile and lock say; gone at the end.

    Raises:
        BaseUnusable: there is no such commit, or it cannot be installed.
    """
    with tempfile.TemporaryDirectory(prefix="wearon-base-") as directory:
        tree = Path(directory) / "tree"
        _run(["git", "worktree", "add", "--quiet", "--detach", str(tree), f"{commit}^{{commit}}"], repository)
        try:
            _run(["make", "install", f"PYTHON={sys.executable}"], tree)
            yield tree
        finally:
            _run(["git", "worktree", "remove", "--force", str(tree)], repository)


def short_name(commit: str) -> str:
    """As git abbreviates it.

    Raises:
        BaseUnusable: there is no such commit.
    """
    return _run(["git", "rev-parse", "--short", "--verify", f"{commit}^{{commit}}"], REPOSITORY).strip()


def environment() -> dict[str, str]:
    """Ours, without what would lead the base to our packages."""
    return {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}


def _run(command: list[str], directory: Path) -> str:
    ended = subprocess.run(command, cwd=directory, env=environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BaseUnusable(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr.strip()}")
    return ended.stdout
