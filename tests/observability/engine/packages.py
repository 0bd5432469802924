"""Programs for the proofs: Debian's packages and one of PyPI's, fetched and unpacked; nothing is installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FETCH_SECONDS: Final = 300.0
"""34 MB; a slow mirror gets five minutes."""

DEBIAN_PACKAGES: Final = {
    "prometheus": "usr/bin/prometheus",
    "prometheus-node-exporter": "usr/bin/prometheus-node-exporter",
    "prometheus-redis-exporter": "usr/bin/prometheus-redis-exporter",
    "prometheus-nginx-exporter": "usr/bin/prometheus-nginx-exporter",
    "prometheus-blackbox-exporter": "usr/bin/prometheus-blackbox-exporter",
    "nginx": "usr/sbin/nginx",
}
"""Package, and its program in it. Of nginx because PyPI's wheel has no stub_status."""

LOCK: Final = Path(__file__).parents[1] / "celery-exporter.txt"
"""celery-exporter, with hashes; it wants other packages than the worker, so it has an environment of its own."""


class MachineRefused(Exception):
    """The proofs cannot run here; the message says why and what helps. They are never left out in silence."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where each program is."""

    prometheus: Path
    promtool: Path
    node_exporter: Path
    redis_exporter: Path
    nginx_exporter: Path
    blackbox_exporter: Path
    nginx: Path
    celery_exporter_python: Path


def fetch_programs(directory: Path, say: Callable[[str], None]) -> Programs:
    """All of them, below ``directory``; what is there from before is taken. Raises ``MachineRefused``."""
    if sys.platform != "linux" or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MachineRefused("Prometheus and its exporters come as Debian's packages; run this on Debian or Ubuntu")
    root = directory / "debian"
    if missing := [name for name, program in DEBIAN_PACKAGES.items() if not (root / program).exists()]:
        say(f"fetching {', '.join(missing)} from Debian (some seconds, once)")
        _fetch_from_debian(missing, directory, root)
    python = directory / "celery-exporter" / "bin" / "python"
    if not _has_exporter(python):
        say("fetching celery-exporter from PyPI (ten seconds, once)")
        _make_environment(python)
    return Programs(
        prometheus=root / DEBIAN_PACKAGES["prometheus"],
        promtool=root / "usr" / "bin" / "promtool",
        node_exporter=root / DEBIAN_PACKAGES["prometheus-node-exporter"],
        redis_exporter=root / DEBIAN_PACKAGES["prometheus-redis-exporter"],
        nginx_exporter=root / DEBIAN_PACKAGES["prometheus-nginx-exporter"],
        blackbox_exporter=root / DEBIAN_PACKAGES["prometheus-blackbox-exporter"],
        nginx=root / DEBIAN_PACKAGES["nginx"],
        celery_exporter_python=python,
    )


def _fetch_from_debian(packages: list[str], directory: Path, root: Path) -> None:
    archives = directory / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    quiet = ("--quiet", "-o", f"APT::Sandbox::User={_user_name()}")
    _run(*("apt-get", "download", *quiet, *packages), cwd=archives, what=f"apt-get cannot fetch {' '.join(packages)}")
    for archive in archives.glob("*.deb"):
        _run("dpkg-deb", "--extract", str(archive), str(root), cwd=directory, what=f"{archive.name} cannot be unpacked")
    shutil.rmtree(archives)


def _make_environment(python: Path) -> None:
    environment = python.parents[1]
    shutil.rmtree(environment, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(environment), cwd=Path.cwd(), what="no environment for celery-exporter")
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    _run(str(python), *install, "-r", str(LOCK), cwd=Path.cwd(), what="celery-exporter cannot be installed")


def _has_exporter(python: Path) -> bool:
    """Whether the environment is whole; a killed run may have left a half of it."""
    if not python.exists():
        return False
    return subprocess.run([python, "-c", "import src.cli"], capture_output=True, check=False).returncode == 0


def _user_name() -> str:
    """apt drops to a user of its own, who may not write everywhere."""
    return os.environ.get("USER", "root") if os.geteuid() else "root"


def _run(*command: str, cwd: Path, what: str) -> None:
    ended = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=FETCH_SECONDS, stdin=subprocess.DEVNULL, check=False
    )
    if ended.returncode != 0:
        raise MachineRefused(f"{what}: {(ended.stderr or ended.stdout).strip()}")
