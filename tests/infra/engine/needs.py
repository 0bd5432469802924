"""What the machine must have. What apt can bring is installed; what it cannot is said in one sentence, and fails."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.infra.engine.commands import CommandFailed, run

INSTALL_SECONDS: Final = 300.0
"""Docker and its friends are 60 MB; a slow mirror gets five minutes."""

PACKAGE_OF: Final = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "pebble": "pebble",
    "pebble-challtestsrv": "pebble",
    "ip": "iproute2",
    "unshare": "util-linux",
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
}
"""Which of Debian's packages has the program."""

DEBIAN_DOCKER: Final = Path("/usr/bin/docker")
"""Debian's own command line: it asks the engine for BuildKit, which others leave to a plugin."""

CONTROLLERS: Final = ("memory", "pids", "cpu")
"""Limits of the compose file that the kernel must know."""


class MachineRefused(Exception):
    """The proofs cannot run here; the message says why and what helps. They are never left out in silence."""


def ensure_machine(say: Callable[[str], None]) -> None:
    """Check and install everything. Raises ``MachineRefused``."""
    if sys.platform != "linux":
        raise MachineRefused(f"network namespaces and cgroups are Linux's; this is {sys.platform}")
    if os.geteuid() != 0:
        raise MachineRefused("an engine with a network of its own needs root: sudo make test-infra")
    _ensure_programs(say)
    _check_kernel()


def missing_packages(is_there: Callable[[str], bool]) -> list[str]:
    """Debian's packages that have to be installed, each once."""
    return sorted({package for program, package in PACKAGE_OF.items() if not is_there(program)})


def _ensure_programs(say: Callable[[str], None]) -> None:
    packages = missing_packages(lambda program: shutil.which(program) is not None)
    if not DEBIAN_DOCKER.exists():
        packages = sorted({*packages, "docker.io"})
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise MachineRefused(f"there is no apt-get here; install by hand: {' '.join(packages)}")
    say(f"installing {', '.join(packages)} from Debian (about half a minute, once)")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("apt-get", "update", "--quiet", env=quiet, timeout_seconds=INSTALL_SECONDS)
        run(
            *("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages, *_split_command_line()),
            env=quiet,
            timeout_seconds=INSTALL_SECONDS,
        )
    except CommandFailed as failure:
        raise MachineRefused(f"apt-get cannot install {' '.join(packages)}: {failure}") from failure


def _split_command_line() -> list[str]:
    """From Debian 13 on Docker's command line is a package of its own."""
    try:
        run("apt-cache", "show", "docker-cli")
    except CommandFailed:
        return []
    return ["docker-cli"]


def _check_kernel() -> None:
    if "overlay" not in Path("/proc/filesystems").read_text():
        raise MachineRefused("the kernel has no overlay file system (modprobe overlay); images need it")
    if not Path("/dev/loop-control").exists():
        raise MachineRefused("there is no /dev/loop-control (modprobe loop); the full disk is a loop device")
    lacking = [name for name in CONTROLLERS if name not in _controllers()]
    if lacking:
        raise MachineRefused(f"the kernel has no cgroup controller {', '.join(lacking)}; limits would not hold")


def _controllers() -> Iterable[str]:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return unified.read_text().split()
    return [line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines() if line.endswith("\t1")]
