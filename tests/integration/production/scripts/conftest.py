"""A host of its own for each test of a script."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.script_host import ScriptHost


@pytest.fixture
def fresh_host(tmp_path: Path) -> Iterator[ScriptHost]:
    """A machine with nothing on it. No script may say anything to docker that the design does not have."""
    host = ScriptHost(tmp_path / "host")
    yield host
    assert host.refused() == ""


@pytest.fixture
def host(fresh_host: ScriptHost) -> ScriptHost:
    """A machine that runs v1."""
    fresh_host.install("v1")
    return fresh_host
