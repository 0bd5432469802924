"""Debian's Docker Engine with everything of its own: namespace, data, run-time files and socket."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from tests.infra.engine.commands import attempt
from tests.infra.engine.namespaces import INTERNET_ADDRESS, Namespace
from tests.infra.engine.waiting import wait_for

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 90.0
"""An engine stops its containers first; afterwards it is killed. One that is killed leaves a containerd behind."""

CGROUPS: Final = Path("/sys/fs/cgroup")
PARENT_CGROUP: Final = "wearon-infra"
"""Above all containers, so that what is left of them is found and is not another engine's."""


OWN_NAMES: Final = 'mount --make-rshared / && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
"""In a mount namespace of the engine's own. Shared, as systemd has it on a host: what is mounted later is to be seen in
a container that has / of the host."""

CPU_SHARES: Final = 16 * 1024
"""All containers together weigh as much as this many ordinary processes divided by 1024: a machine that serves for real
has no test process beside the worker. By default they would weigh as much as one."""


class Engine:
    """One ``dockerd`` in ``directory``; images lie in ``data_root``, which may outlive the run.

    ``names`` is its ``resolv.conf``: with the machine's it would wait for a name server that it cannot reach.
    """

    def __init__(self, directory: Path, data_root: Path, namespace: Namespace, names: Path) -> None:
        self._names = names
        self.socket = directory / "docker.sock"
        self.log_path = directory / "dockerd.log"
        self._directory = directory
        self._data_root = data_root
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises ``TimeoutError`` with the end of its log."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._data_root.mkdir(parents=True, exist_ok=True)
        _weigh_containers()
        with self._namespace.inside(), self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "sh", "-c", OWN_NAMES, "sh", self._names),
                    *("dockerd", "--data-root", self._data_root, "--exec-root", self._directory / "exec"),
                    *("--pidfile", self._directory / "dockerd.pid", "--host", f"unix://{self.socket}"),
                    *("--dns", INTERNET_ADDRESS, "--cgroup-parent", PARENT_CGROUP),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(f"dockerd answers (its log: {self.log_path})", self._answers, seconds=START_SECONDS)

    def stop(self) -> None:
        """SIGTERM, which stops the containers; SIGKILL when that takes too long."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            end = self.log_path.read_text(errors="replace")[-2_000:]
            raise RuntimeError(f"dockerd ended with status {self._process.returncode}:\n{end}")
        status, _ = attempt("/usr/bin/docker", "--host", f"unix://{self.socket}", "version")
        return status == 0


def _weigh_containers() -> None:
    """cgroup v1 calls it shares, v2 weight (1 to 10,000, 100 by default)."""
    for place, name, value in (
        (CGROUPS / "cpu" / PARENT_CGROUP, "cpu.shares", CPU_SHARES),
        (CGROUPS / PARENT_CGROUP, "cpu.weight", CPU_SHARES * 100 // 1024),
    ):
        if (place.parent / name).exists() or (place.parent / "cgroup.controllers").exists():
            place.mkdir(exist_ok=True)
            if (place / name).exists():
                (place / name).write_text(str(value))


def sweep(directory: Path, *, keep: Path | None, say: Callable[[str], None]) -> None:
    """Remove all that an engine in ``directory`` left: processes, mounts, cgroups, files; ``keep`` stays."""
    for process in _processes_of(directory):
        with suppress(psutil.NoSuchProcess):
            say(f"ending a process that was left: {process.pid} {process.name()}")
            process.kill()
            process.wait(STOP_SECONDS)
    for mount in _mounts_below(directory, keep):
        attempt("umount", "--lazy", mount)
    _remove_cgroups()
    if directory.exists():
        shutil.rmtree(directory, ignore_errors=True)


def _processes_of(directory: Path) -> list[psutil.Process]:
    """Whoever names the directory on its command line (dockerd, containerd, its shims), and what runs in our cgroup."""
    named = str(directory)
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_engine = Path(process.exe()).name in {"dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy"}
            in_cgroup = f"/{PARENT_CGROUP}/" in Path(f"/proc/{process.pid}/cgroup").read_text()
            if in_cgroup or (is_engine and any(named in word for word in process.cmdline())):
                found.append(process)
    return found


def _mounts_below(directory: Path, keep: Path | None) -> list[str]:
    """Deepest first; below ``keep`` too, as a mount is never worth keeping."""
    places = [str(place) for place in (directory, keep) if place is not None]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [mount for mount in mounts if any(mount.startswith(f"{place}/") for place in places)]
    return sorted(below, key=len, reverse=True)


def _remove_cgroups() -> None:
    roots = [CGROUPS / PARENT_CGROUP, *CGROUPS.glob(f"*/{PARENT_CGROUP}")]
    for root in filter(Path.exists, roots):
        for place, _, _ in os.walk(root, topdown=False):
            for _ in range(10):  # a cgroup lets go a moment after its last process
                try:
                    Path(place).rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.1)
                else:
                    break
