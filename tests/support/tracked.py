"""The repository's own files, as git knows them."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]

PATTERNS: Final = ("*.py", "*.md", "*.sql", "*.lua", "*.toml", "Dockerfile", "Makefile", ".env.example")
CODE_FOLDERS: Final = ("config", "models", "operations", "services", "size_rec", "web", "worker")


def tracked_files() -> list[Path]:
    """Code and documents. In a copy without git: the worker's Python files, as they lie there."""
    return _listed(*PATTERNS) or [path for folder in CODE_FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]


def tracked_texts() -> dict[Path, str]:
    """Every file that a person can read, with its text: scripts, settings and generated files as well."""
    texts: dict[Path, str] = {}
    for path in _listed() or tracked_files():
        with suppress(UnicodeDecodeError):  # a photograph
            texts[path] = path.read_text(encoding="utf-8")
    return texts


def _listed(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return [path for name in listed.stdout.splitlines() if (path := REPOSITORY / name).is_file()]
