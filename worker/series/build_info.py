"""Which build this is: what the image was labelled with, or the working copy's own version."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VERSION_VARIABLE: Final = "WEARON_VERSION"
COMMIT_VARIABLE: Final = "WEARON_COMMIT"
"""Set in the image by its Dockerfile, from the arguments that also make its labels."""

PROJECT_FILE: Final = Path(__file__).parents[2] / "pyproject.toml"
"""Of a working copy; the image has none."""

OUTSIDE_AN_IMAGE: Final = "dev"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """The version, and the commit it was built from."""

    version: str
    commit: str


def read_build_info(environ: Mapping[str, str] = os.environ, project_file: Path = PROJECT_FILE) -> BuildInfo:
    """What this process was built from. Never raises: nothing depends on it."""
    return BuildInfo(
        version=environ.get(VERSION_VARIABLE) or _version_in(project_file),
        commit=environ.get(COMMIT_VARIABLE) or OUTSIDE_AN_IMAGE,
    )


def _version_in(project_file: Path) -> str:
    try:
        return str(tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return UNKNOWN
