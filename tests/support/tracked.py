"""The repository's own files, as git knows them."""

import subprocess
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]

PATTERNS: Final = ("*.py", "*.md", "*.sql", "*.lua", "*.toml", "Dockerfile", "Makefile", ".env.example")
CODE_FOLDERS: Final = ("config", "models", "operations", "services", "size_rec", "web", "worker")


def tracked_files() -> list[Path]:
    """Code and documents. In a copy without git: the worker's Python files, as they lie there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PATTERNS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.splitlines()
    found = [REPOSITORY / name for name in names] or [
        path for folder in CODE_FOLDERS for path in (REPOSITORY / folder).rglob("*.py")
    ]
    return [path for path in found if path.is_file()]
