"""The worker at work, and everything of production that watches it, as far as it runs without images: on loopback.

Real: Prometheus, the exporters, celery-exporter, nginx, the worker, the bridge. Grafana, Loki and Alloy are not here.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sandbox.pictures.image_host import ImageHost
from sandbox.servers.node_packages import ensure_node_packages
from sandbox.servers.processes import LOOPBACK
from sandbox.whatsapp_sim import WhatsAppSim
from sandbox.world import World
from tests.conftest import ENVIRONMENT_OF_THE_DEVELOPER
from tests.observability.engine.packages import Programs
from tests.observability.engine.programs import Exporter
from tests.observability.engine.prometheus import Prometheus
from tests.observability.engine.shipped import on_loopback
from tests.support.edge import DOMAIN, WORKER, Edge
from tests.support.name_server import NameServer
from tests.support.tracked import REPOSITORY
from tests.support.whatsapp_bridge import Bridge
from tests.support.worker import Stage, Worker

PROMETHEUS_FILE: Final = REPOSITORY / "monitoring" / "prometheus" / "prometheus.yml"
BLACKBOX_FILE: Final = REPOSITORY / "monitoring" / "blackbox" / "blackbox.yml"
SITE_JOB: Final = "site"
RECIPIENT: Final = "+4915112345678"
GENERATION_QUEUE: Final = "wearon:tasks:generation"

CELERY_EXPORTER: Final = "from src.cli import cli; cli(auto_envvar_prefix='CE')"
"""PyPI's package has no command."""

STUB_STATUS: Final = """\
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
    server {{ listen {address}; location = /status {{ stub_status; }} }}
}}
"""
"""Debian's nginx for nginx-exporter: that of the other tests, PyPI's, has no stub_status."""


@dataclass(slots=True)
class Bed:
    """What runs.

    Attributes:
        stage: the platform's side, and the world around the worker.
        worker: the real one.
        prometheus: the real one, with the shipped configuration and this machine's addresses.
        exporters: by their job.
        textfiles: where node-exporter reads the host's own metrics.
        bridge: the real one.
        whatsapp: a stand-in of Meta's Cloud API.
        answered: jobs of the shipped configuration that are scraped here.
        unanswered: jobs of the shipped configuration that nobody here answers for.
    """

    stage: Stage
    worker: Worker
    prometheus: Prometheus
    exporters: Mapping[str, Exporter]
    textfiles: Path
    bridge: Bridge
    whatsapp: WhatsAppSim
    answered: list[str]
    unanswered: list[str]


@contextmanager
def open_bed(directory: Path, programs: Programs, say: Callable[[str], None]) -> Iterator[Bed]:
    """Start everything, and end it."""
    ensure_node_packages(ENVIRONMENT_OF_THE_DEVELOPER)
    world = World.in_directory(directory / "world", fixed_result=True)
    with ExitStack() as stack:
        stack.callback(world.postgres.wipe)
        say("starting the sandbox's platform")
        stack.enter_context(world.running())
        stage = Stage(world, stack.enter_context(ImageHost()), directory / "workers")
        stack.callback(stage.close)
        worker = stage.worker()
        say("starting the worker, the exporters and Prometheus")
        textfiles = directory / "textfiles"
        textfiles.mkdir()
        exporters = make_exporters(directory, programs, world, textfiles)
        for exporter in exporters.values():
            stack.enter_context(exporter)
        worker.start()
        targets = {"worker": [f"{LOOPBACK}:{worker.port}"]}
        targets |= {job: [exporter.address] for job, exporter in exporters.items()}
        prometheus = Prometheus(directory / "prometheus", programs.prometheus)
        targets["prometheus"] = [f"{LOOPBACK}:{prometheus.port}"]
        edge = _open_edge(stack, worker.port)
        blackbox = stack.enter_context(
            _blackbox(directory, programs.blackbox_exporter, edge.authority.certificate_path)
        )
        whatsapp = stack.enter_context(WhatsAppSim())
        (directory / "bridge").mkdir()
        bridge = stack.enter_context(Bridge(directory / "bridge", whatsapp.environment(RECIPIENT)))
        targets["grafana-whatsapp-webhook"] = [f"{LOOPBACK}:{bridge.port}"]
        targets |= {SITE_JOB: [blackbox.address], "blackbox-exporter": [blackbox.address]}
        site = {SITE_JOB: {"target": [f"https://{LOOPBACK}:{edge.https_port}/health"]}}
        configuration, unanswered = on_loopback(shipped_configuration(), targets, site)
        prometheus.configure(configuration)
        stack.enter_context(prometheus)
        answered = [job["job_name"] for job in configuration["scrape_configs"]]
        yield Bed(stage, worker, prometheus, exporters, textfiles, bridge, whatsapp, answered, unanswered)


def shipped_configuration() -> dict[str, Any]:
    """As it is in the repository."""
    text = PROMETHEUS_FILE.read_text().replace("${DOMAIN}", DOMAIN)  # as monitoring/prometheus/start.sh does
    configuration: dict[str, Any] = yaml.safe_load(text)
    return configuration


def make_exporters(directory: Path, programs: Programs, world: World, textfiles: Path) -> dict[str, Exporter]:
    """By job; not started yet."""
    nginx = _nginx(directory / "nginx", programs.nginx)
    return {
        "node-exporter": Exporter(
            directory,
            "node-exporter",
            [
                programs.node_exporter,
                "--web.listen-address={address}",
                f"--collector.textfile.directory={textfiles}",
            ],
        ),
        "redis-exporter": Exporter(
            directory,
            "redis-exporter",
            [programs.redis_exporter, "-web.listen-address={address}", f"-redis.addr={world.redis.url}"],
        ),
        "stub-status": nginx,
        "nginx-exporter": Exporter(
            directory,
            "nginx-exporter",
            [
                programs.nginx_exporter,
                "-web.listen-address={address}",
                f"-nginx.scrape-uri={nginx.url}/status",
            ],
        ),
        "celery-exporter": Exporter(
            directory,
            "celery-exporter",
            [programs.celery_exporter_python, "-c", CELERY_EXPORTER],
            environment={
                "CE_BROKER_URL": world.redis.url,
                "CE_PORT": "{port}",
                "CE_QUEUES": GENERATION_QUEUE,
            },
        ),
    }


def _open_edge(stack: ExitStack, worker_port: int) -> Edge:
    """The shipped nginx in front of the worker, with a certificate."""
    name_server = stack.enter_context(NameServer())
    name_server.names[WORKER] = (LOOPBACK,)
    edge = Edge(name_server.address, worker_port)
    edge.certify()
    return stack.enter_context(edge)


def _blackbox(directory: Path, program: Path, authority: Path) -> Exporter:
    """As in production, but that it trusts the certificate authority of this run."""
    return Exporter(
        directory,
        "blackbox-exporter",
        [program, "--web.listen-address={address}", f"--config.file={BLACKBOX_FILE}"],
        environment={"SSL_CERT_FILE": str(authority)},
    )


def _nginx(directory: Path, program: Path) -> Exporter:
    directory.mkdir()
    configuration = directory / "nginx.conf"
    server = Exporter(directory, "stub-status", [program, "-p", directory, "-c", configuration], path="/status")
    configuration.write_text(STUB_STATUS.format(address=server.address))
    return server
