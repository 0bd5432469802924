"""What first-deploy reads out of the files without Docker is what Compose itself says."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.script_host import REPOSITORY, SCRIPTS, ScriptHost

COMPOSE = Path(sys.executable).parent / "docker-compose"
MIB = 1024 * 1024


def test_the_memory_that_is_asked_for_is_the_sum_of_all_limits_with_two_workers(host: ScriptHost) -> None:
    program = f'source "{SCRIPTS}/lib/all.sh"; memory_needed_mib "{REPOSITORY}"'
    needed = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True).stdout
    command: list[str | Path] = [
        COMPOSE,
        "-f",
        "docker-compose.prod.yml",
        "--profile",
        "*",
        "config",
        "--format",
        "json",
    ]
    parsed = subprocess.run(command, cwd=host.home, capture_output=True, text=True, check=True)
    services = json.loads(parsed.stdout)["services"]
    limits = {name: int(each["deploy"]["resources"]["limits"]["memory"]) for name, each in services.items()}
    assert int(needed) * MIB == sum(limits.values()) + limits["worker"]


def test_the_real_compose_tells_two_tags_apart_by_the_hash_that_deploy_asks_for(host: ScriptHost) -> None:
    def hash_of(tag: str) -> str:
        return subprocess.run(
            [COMPOSE, "-f", "docker-compose.prod.yml", "config", "--hash", "worker"],
            cwd=host.home,
            env={"WORKER_TAG": tag, "PATH": "/usr/bin:/bin", "HOME": str(host.folder)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]

    assert hash_of("v1") != hash_of("v2")
    assert hash_of("v1") == hash_of("v1")
