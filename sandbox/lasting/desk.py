"""The operator's command line (``python -m operations``) with the settings of the running sandbox's worker."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.lasting.home import SandboxHome, worker_settings

REPOSITORY: Final = Path(__file__).resolve().parents[2]

PASSED_ON: Final = ("PATH", "HOME", "LANG", "TERM", "NO_COLOR", "COLUMNS")
"""All that the command gets from the environment of whoever calls it: the rest comes from the sandbox."""


def wearon(home: SandboxHome, arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises ``SandboxIsNotRunning``."""
    world, worker = home.running_world()
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "operations", *arguments],
        env={
            **environment,
            **worker_settings(world),
            "HOST": worker.host,
            "PORT": str(worker.port),
            "PYTHONPATH": str(REPOSITORY),
        },
        cwd=worker.directory,  # so that a developer's own .env is not read
        check=False,
    ).returncode
