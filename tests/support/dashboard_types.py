"""Dashboards as TypeScript checks them against Grafana's own types, from npm, in the pinned Node."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sandbox.servers.node_packages import ensure_node_packages, node_program

TYPES: Final = Path(__file__).resolve().parent / "grafana_types"

HEADER: Final = """\
import type {{ Dashboard }} from "@grafana/schema";
import type {{ Json }} from "./json";
export const dashboard: Json<Dashboard> = {json};
"""

OPTIONS: Final = (
    *("--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"),
    *("--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"),
)


def complaints(dashboards: Mapping[str, str], directory: Path) -> list[str]:
    """The lines of TypeScript's complaints about dashboards, given as JSON by name; works in ``directory``."""
    packages = ensure_node_packages(directory=TYPES)
    (directory / packages.name).symlink_to(packages)
    (directory / "json.d.ts").write_text((TYPES / "json.d.ts").read_text())
    for name, text in dashboards.items():
        (directory / f"{name}.ts").write_text(HEADER.format(json=text), encoding="utf-8")
    compiler = packages / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [node_program(), compiler, *OPTIONS, *(f"{name}.ts" for name in dashboards)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()
