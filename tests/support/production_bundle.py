"""What /opt/wearon holds on a host, laid out in a folder; and the real Compose, which reads it without an engine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
COMPOSE: Final = Path(sys.executable).parent / "docker-compose"
STACK: Final = "docker-compose.prod.yml"

PARTS: Final = (STACK, "versions.env", "compose", "redis")
"""Of the bundle, what Compose reads; what it only mounts may be missing."""

TAG: Final = "1.2.3"
HOST_VALUES: Final = {
    "DOMAIN": "worker.example.com",
    "CERTBOT_EMAIL": "ops@wearon.example",
    "REDIS_PASSWORD": "Redis-Password_1",
    "REDIS_URL": "redis://default:Redis-Password_1@redis:6379/0",
    "SUPABASE_URL": "https://abcdefgh.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "service-key-1",
    "OPENAI_API_KEY": "sk-live-1",
    "CELERY_BROKER_URL": "redis://default:Redis-Password_1@redis:6379/0",
    "GF_SECURITY_ADMIN_PASSWORD": "Grafana-Password_1",
    "WHATSAPP_WEBHOOK_SECRET": "Webhook-Secret_1",
}
"""A host's ``.env``."""


class ComposeRefused(Exception):
    """Compose could not read the stack; the message is its own."""


def lay_out(home: Path, **changed: str) -> Path:
    """Put the bundle into ``home``, with ``release.env`` and an ``.env`` that has these values, too."""
    home.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, home / name, dirs_exist_ok=True)
        else:
            shutil.copy(source, home / name)
    (home / "release.env").write_text(f"WORKER_TAG={TAG}\n")
    write_env(home, {**HOST_VALUES, **changed})
    return home


def write_env(home: Path, values: Mapping[str, str]) -> None:
    """``.env``, byte for byte."""
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    (home / ".env").write_bytes(lines.encode(errors="surrogateescape"))


def compose(
    home: Path, *arguments: str, exported: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """The plain command of an operator in ``home``, whose shell has nothing set but ``exported``."""
    return subprocess.run(
        [COMPOSE, "-f", STACK, *arguments],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **(exported or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def services(home: Path, *, exported: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Every service as Compose would start it.

    Raises:
        ComposeRefused: it would start nothing.
    """
    read = compose(home, "--profile", "*", "config", "--format", "json", exported=exported)
    if read.returncode:
        raise ComposeRefused(read.stderr.strip())
    found: dict[str, Any] = json.loads(read.stdout)["services"]
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """What its container would get; ``config`` writes ``$`` as ``$$``, so that it can be read again."""
    return {name: (value or "").replace("$$", "$") for name, value in (service.get("environment") or {}).items()}
