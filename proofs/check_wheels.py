"""``make wheels``: whether every locked package has a wheel for every Python and every kind of machine we support.

Without one, pip would compile the package while it installs: with compilers, headers and downloads that a server or the
slim image does not have. Asks the package index, so it is not among the tests; CI runs it.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Final

LOCK: Final = Path("requirements-dev.txt")
"""Holds everything of ``requirements.txt``, too."""

PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
MACHINES: Final = {
    "Linux on x86-64": "x86_64-manylinux_2_28",
    "Linux on arm64": "aarch64-manylinux_2_28",
    "macOS on arm64": "aarch64-apple-darwin",
}
"""As uv calls them. glibc 2.28 (Debian 10, Ubuntu 20.04, RHEL 8) is the oldest that all wheels run on."""

AT_A_TIME: Final = 4
"""They wait for the index more than they compute."""


def complaint(lock: Path, python: str, platform: str) -> str | None:
    """Which package has no wheel, in uv's words; ``None`` if all have one."""
    uv = Path(sys.executable).with_name("uv")
    asked = subprocess.run(
        [
            *(uv, "pip", "compile", lock, "--no-deps", "--only-binary", ":all:", "--no-header", "--quiet"),
            *("--python", sys.executable),  # or uv looks for one of that version, for ten seconds under pyenv
            *("--python-version", python, "--python-platform", platform),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stderr.strip() or f"uv ended with {asked.returncode}" if asked.returncode else None


def main(lock: Path = LOCK) -> int:
    """Ask for each; returns 1 if anything is missing."""
    kinds = list(product(PYTHONS, MACHINES))
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        complaints = list(pool.map(lambda kind: complaint(lock, kind[0], MACHINES[kind[1]]), kinds))
    for (python, machine), said in zip(kinds, complaints, strict=True):
        print(f"Python {python}, {machine}: " + ("every package has a wheel" if said is None else f"MISSING\n{said}"))
    return int(any(complaints))


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m proofs.check_wheels",
        description="Ask the package index whether every locked package has a wheel for every Python and machine.",
    ).parse_args()
    sys.exit(main())
