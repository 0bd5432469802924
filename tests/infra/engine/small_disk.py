"""A host with a disk of 2 GB: an engine of its own whose data lies on a loop device."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.infra.engine.commands import attempt, run
from tests.infra.engine.daemon import Engine
from tests.infra.engine.docker import Docker
from tests.infra.engine.host import RESOLVER_FILE
from tests.infra.engine.namespaces import SMALL, Namespace
from tests.infra.engine.rig import Rig

DISK_BYTES: Final = 2 * 2**30
FILLING: Final = "filling"


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """The engine, and where its disk is mounted."""

    docker: Docker
    mount: Path

    def fill(self) -> None:
        """Leave nothing free."""
        attempt("dd", "if=/dev/zero", f"of={self.mount / FILLING}", "bs=1M")

    def clear(self) -> None:
        """Free what :meth:`fill` took."""
        (self.mount / FILLING).unlink()


@contextmanager
def small_disk(rig: Rig, *images: str) -> Iterator[SmallDisk]:
    """Start it with these images of the other engine."""
    file, mount = rig.place / "small.img", rig.place / "small"
    mount.mkdir()
    run("truncate", "--size", str(DISK_BYTES), file)
    run("mkfs.ext4", "-q", "-m", "0", file)
    with ExitStack() as stack:
        run("mount", "-o", "loop", file, mount)
        stack.callback(run, "umount", mount)
        run("ip", "netns", "add", SMALL)
        stack.callback(run, "ip", "netns", "delete", SMALL)
        run("ip", "-n", SMALL, "link", "set", "lo", "up")
        engine = Engine(rig.place / "small-engine", mount / "docker", Namespace.named(SMALL), RESOLVER_FILE)
        engine.start()
        stack.callback(engine.stop)
        docker = Docker(engine.socket, rig.docker.configuration, rig.docker.programs)
        archive = rig.place / "images.tar"
        rig.docker("save", "--output", archive, *images)
        docker("load", "--input", archive)
        archive.unlink()
        yield SmallDisk(docker, mount)
