"""Reads the repository's YAML files."""

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path) -> Any:
    """What a file says; by libyaml, since nearly every process that runs tests reads nearly all of them."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
