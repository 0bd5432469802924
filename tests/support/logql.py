"""LogQL as Grafana reads it: its own grammar, from npm, in the pinned Node."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.servers.node_packages import ensure_node_packages, node_program

GRAMMAR: Final = Path(__file__).resolve().parent / "logql_grammar"

FINE: Final = -1


def errors_in(expressions: Sequence[str]) -> list[int]:
    """For each expression the place of its first error, or ``FINE``."""
    ensure_node_packages(directory=GRAMMAR)
    done = subprocess.run(
        [node_program(), GRAMMAR / "parse.js"],
        input=json.dumps(expressions),
        capture_output=True,
        text=True,
        check=True,
    )
    places: list[int] = json.loads(done.stdout)
    return places
