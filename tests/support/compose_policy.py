"""[pure] The rules that every service of the production stack keeps (docs/adr/0112), one function for each.

They read a service as Compose's ``config --no-interpolate`` writes it; ``as_compose_reads`` brings the short forms of
the file into that shape. A rule returns what is wrong in words, or nothing.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Service = Mapping[str, Any]
Rule = Callable[[str, Service], str | None]

NETWORK: Final = "wearon-net"
PUBLISHED: Final = {"nginx": [("80", 80), ("443", 443)]}
"""FR-7.4: host port and container port, and of whom."""

ENV_FILE: Final = {"worker": [{"path": ".env", "format": "raw"}]}
"""Story 2.1; raw, because Compose would interpret a secret otherwise (docs/adr/0110)."""

MOUNTED_DIRECTORIES: Final[Mapping[str, frozenset[str]]] = {
    "nginx": frozenset({"nginx"}),
    "redis": frozenset({"redis"}),
    **{
        name: frozenset({f"monitoring/{directory}"})
        for name, directory in (
            *(("prometheus", "prometheus"), ("grafana", "grafana"), ("loki", "loki"), ("alloy", "alloy")),
            *(("docker-socket", "docker-socket"), ("blackbox-exporter", "blackbox")),
        )
    },
}
"""Of the bundle, without a secret in them, and who reads which."""

OF_THE_HOST: Final = {
    ("docker-socket", "${DOCKER_SOCKET:-/var/run/docker.sock}"): "asks the engine; refuses all but lists and logs",
    ("node-exporter", "/"): "how full the host's disks are shows only from there; reads as nobody, so no secret",
    ("node-exporter", "metrics"): "what the host's scripts tell: age of backup, certificate, renewal",
}
"""What is mounted of the host itself, always to be read only, and why."""

OPTIONAL_SECRETS: Final = frozenset({"GF_SMTP_PASSWORD", "WHATSAPP_ACCESS_TOKEN"})
"""Without them a message goes another way or nowhere; that must not keep the site from starting."""

VOLUMES: Final[Mapping[str, Mapping[str, bool]]] = {
    "redis": {"redis-data": False},
    "nginx": {"certificates": True, "acme": True},
    "certbot": {"certificates": False, "acme": False},
    "prometheus": {"prometheus-data": False},
    "grafana": {"grafana-data": False},
    "loki": {"loki-data": False},
    "alloy": {"alloy-data": False, "docker-api": True},
    "docker-socket": {"docker-api": False},
    "grafana-whatsapp-webhook": {"whatsapp-queue": False},
}
"""Who has which volume, and whether only to read: the certificates' keys are nobody's but nginx's and certbot's, the
way to the engine nobody's but Alloy's."""

WAITS_FOR: Final[Mapping[str, frozenset[str]]] = {
    "worker": frozenset({"redis"}),
    "nginx": frozenset({"worker", "grafana"}),
    "celery-exporter": frozenset({"redis"}),
    "redis-exporter": frozenset({"redis"}),
}
"""Pattern 6: who is started after whom."""

LIMITS: Final = frozenset({"cpus", "memory", "pids"})
LOGGING: Final = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}

LOOPBACK: Final = r"127\.0\.0\.1"

CHECKS_THAT_FAIL: Final = {
    r"wearon health": "exits 1 unless the worker says ok",
    r"redis-cli ping \| grep -q PONG": "grep's status; redis-cli alone exits 0 on NOAUTH and LOADING",
    rf"wget -q -O /dev/null http://{LOOPBACK}:\d+/[a-z/-]*": "wget exits 1 on a refused connection, on 4xx and on 5xx",
    r"/usr/bin/loki -health": "asks /ready; exits 1 unless it is 200 (from 3.6.5 on)",
    rf'bash -c exec 3<>/dev/tcp/{LOOPBACK}/\d+; printf [^;]* >&3; grep -q "200 OK" <&3': (
        "without a connection there is no descriptor 3 to read from; with one it is grep's status"
    ),
    rf"python -c import urllib\.request as u; u\.urlopen\('http://{LOOPBACK}:\d+/[a-z/]*', timeout=\d+\)": (
        "raises on a refused connection, on silence, on 4xx and on 5xx; Python then exits 1"
    ),
    r"python -m monitoring\.whatsapp_bridge health": "exits 1 unless the bridge says ok",
}
"""Commands of health checks that are known to fail when the service does, and by what."""

UNHEALTHY_WITHIN_SECONDS: Final = 60
"""Interval, times retries, and the last timeout: a dead service is seen by then."""

LONGEST_START_SECONDS: Final = 60
"""Failures do not count in the first ones: as long as the worker loads its model on a slow host, or Redis its file."""

KNOWN_KEYS: Final = frozenset(
    [
        *("cap_drop", "command", "depends_on", "deploy", "entrypoint", "env_file", "environment", "expose"),
        *("healthcheck", "image", "init", "labels", "logging", "networks", "ports", "profiles", "read_only"),
        *("restart", "security_opt", "stop_grace_period", "stop_signal", "tmpfs", "user", "volumes", "working_dir"),
    ]
)
"""What somebody has thought about. Among the others are privileged, pid, devices, cap_add and container_name."""

EXEMPT: Final = {
    ("certbot", "restarts"): "runs to its end when it is asked; restarted, it would renew in a loop",
    ("certbot", "checks_its_health"): "serves nothing; its exit status says how it went",
    (
        "nginx-exporter",
        "checks_its_health",
    ): "its image is one program, with nothing that could ask it; Prometheus does",
    ("docker-socket", "is_not_root"): "the engine's socket is root's, and its group has another number on each host; "
    "who may open it could become root anyway, and without capabilities this root can do nothing else",
}
"""Service and rule, and why it need not be kept."""

IMAGE: Final = re.compile(r"\$\{(?!WORKER_)[A-Z_]+_IMAGE:\?[^}]+\}")
WORKER_IMAGE: Final = re.compile(r"\$\{WORKER_IMAGE:\?[^}]+\}:\$\{WORKER_TAG:\?[^}]+\}")
BRIDGE_IMAGE: Final = re.compile(r"\$\{WORKER_IMAGE:\?[^}]+\}-whatsapp-bridge:\$\{WORKER_TAG:\?[^}]+\}")
OUR_IMAGES: Final = {"worker": WORKER_IMAGE, "grafana-whatsapp-webhook": BRIDGE_IMAGE}
"""Built together from one commit, so they have one tag."""
VARIABLE: Final = re.compile(r"\$\{?[A-Za-z_]")
SECRET_WORD: Final = re.compile(r"pass|secret|token|api.?key", re.IGNORECASE)
SECRET_NAME: Final = re.compile(r"KEY|TOKEN|PASS|PWD|SECRET|AUTH|CREDENTIAL", re.IGNORECASE)
SECRET_IN_ADDRESS: Final = re.compile(r"://[^/@\s]+@")
"""User and password, or a token by itself (RFC 3986, 3.2.1)."""
A_LIMIT: Final = re.compile(r"(?!0+(\.0*)?[a-zA-Z]*$)\d+(\.\d+)?[bkmgBKMG]*")
"""Not 0 and not -1: both mean none."""
TMPFS: Final = re.compile(r"/[\w./-]+:mode=[01]?\d{3}(,uid=\d+,gid=\d+)?,size=\d+m")
NOT_ROOT: Final = re.compile(r"[1-9]\d*:[1-9]\d*")


def as_compose_reads(service: Service) -> dict[str, Any]:
    """A service as it is written, with its short forms written out."""
    read = dict(service)
    if isinstance(networks := read.get("networks"), list):
        read["networks"] = dict.fromkeys(networks)
    if isinstance(depends_on := read.get("depends_on"), list):
        read["depends_on"] = {name: {"condition": "service_started", "required": True} for name in depends_on}
    if isinstance(variables := read.get("environment"), list):
        read["environment"] = {name: value for name, _, value in (line.partition("=") for line in variables)}
    read["ports"] = [_port(port) for port in read.get("ports", ())]
    read["volumes"] = [_mount(volume) for volume in read.get("volumes", ())]
    return read


def faults(services: Mapping[str, Service]) -> Iterator[tuple[str, str, str]]:
    """Every service and rule that do not go together, and why; without those that are exempt."""
    for name, service in services.items():
        for rule, broken in RULES.items():
            if (name, rule) not in EXEMPT and (why := broken(name, service)):
                yield name, rule, why


def restarts(_: str, service: Service) -> str | None:
    """NFR-2.2."""
    return None if service.get("restart") == "unless-stopped" else f"restart is {service.get('restart')}"


def is_limited(_: str, service: Service) -> str | None:
    """Of ``deploy.resources.limits`` all three; ``pids_limit`` beside it is refused by Compose."""
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    missing = LIMITS - {name for name, value in limits.items() if A_LIMIT.fullmatch(str(value))}
    return f"no limit of {', '.join(sorted(missing))}" if missing else None


def gains_no_privilege(_: str, service: Service) -> str | None:
    """A program with a setuid bit gives nothing."""
    return None if service.get("security_opt") == ["no-new-privileges:true"] else "new privileges can be had"


def has_no_capability(_: str, service: Service) -> str | None:
    """None at all: low ports need none inside a container."""
    return None if service.get("cap_drop") == ["ALL"] else f"drops {service.get('cap_drop')} only"


def is_not_root(_: str, service: Service) -> str | None:
    """As numbers: a name is looked up in the image, which can change."""
    user = str(service.get("user", ""))
    return None if NOT_ROOT.fullmatch(user) else f"user is {user or 'that of the image'}"


def is_read_only(_: str, service: Service) -> str | None:
    """The root of the file system."""
    return None if service.get("read_only") is True else "its root can be written"


def writes_in_named_places(_: str, service: Service) -> str | None:
    """A tmpfs has a mode, which it would take from the image otherwise, and a size."""
    wrong = [tmpfs for tmpfs in service.get("tmpfs", ()) if not TMPFS.fullmatch(tmpfs)]
    return f"tmpfs without mode or size: {wrong}" if wrong else None


def has_bounded_logs(_: str, service: Service) -> str | None:
    """30 MB a service."""
    return None if service.get("logging") == LOGGING else f"logging is {service.get('logging')}"


def is_on_the_network(_: str, service: Service) -> str | None:
    """Story 2.1: one, and no other."""
    networks = list(service.get("networks") or ())
    return None if networks == [NETWORK] else f"networks are {networks}"


def publishes_what_it_may(name: str, service: Service) -> str | None:
    """NFR-3.5."""
    ports = [(str(port.get("published")), port.get("target")) for port in service.get("ports", ())]
    return None if ports == PUBLISHED.get(name, []) else f"publishes {ports}"


def mounts_what_it_may(name: str, service: Service) -> str | None:
    """Its own volumes; of the host, its own directory of the bundle, read-only and not made when it is missing."""
    wrong = [mount for mount in service.get("volumes", ()) if not _may_be_mounted(name, mount)]
    return f"mounts {wrong}" if wrong else None


def checks_its_health(_: str, service: Service) -> str | None:
    """By a command that fails when the service does, and soon."""
    check = service.get("healthcheck", {})
    command = " ".join(check.get("test", ["none"])[1:])
    if check.get("disable") or not any(re.fullmatch(known, command) for known in CHECKS_THAT_FAIL):
        return f"not known to fail when the service does: {command or 'no health check'}"
    if missing := {"interval", "timeout", "retries"} - set(check):
        return f"no {', '.join(sorted(missing))}"
    if (start_seconds := _seconds(check.get("start_period", "0s"))) > LONGEST_START_SECONDS:
        return f"failures do not count for {start_seconds} s"
    seconds = _seconds(check["interval"]) * check["retries"] + _seconds(check["timeout"])
    return None if seconds <= UNHEALTHY_WITHIN_SECONDS else f"unhealthy only after {seconds} s"


def waits_for_health(name: str, service: Service) -> str | None:
    """Pattern 6. nginx also starts beside an ill service; the others need what they wait for."""
    depends_on = dict(service.get("depends_on", {}))
    if missing := WAITS_FOR.get(name, frozenset()) - set(depends_on):
        return f"does not wait for {', '.join(sorted(missing))}"
    for other, how in depends_on.items():
        if how.get("condition") != "service_healthy":
            return f"does not wait for the health of {other}"
        if (name == "nginx") == how.get("required", True):
            return f"{other} is {'required' if name == 'nginx' else 'not required'}"
    return None


def shows_no_secret(_: str, service: Service) -> str | None:
    """What every process list and ``docker ps`` show has no variable in it, and no word that goes before a secret."""
    shown = {key: str(service.get(key, "")) for key in ("command", "entrypoint", "healthcheck", "labels")}
    signs = (VARIABLE, SECRET_WORD, SECRET_IN_ADDRESS)
    wrong = [key for key, value in shown.items() if any(sign.search(value) for sign in signs)]
    return f"a variable or a secret in {', '.join(wrong)}" if wrong else None


def holds_no_secret(_: str, service: Service) -> str | None:
    """The file has no value of a secret; a variable stops Compose when it is missing, or the value is empty."""
    for name, value in dict(service.get("environment", {})).items():
        if SECRET_NAME.search(name) and value and not _comes_from_elsewhere(name, str(value)):
            return f"a value for {name}"
        if SECRET_IN_ADDRESS.search(str(value)):
            return f"a secret in the address {name}"
    return None


def reads_env_file_as_it_may(name: str, service: Service) -> str | None:
    """The worker, as bytes; the others get single variables."""
    files = [
        {key: value for key, value in file.items() if (key, value) != ("required", True)}
        if isinstance(file, Mapping)
        else file
        for file in service.get("env_file", ())
    ]
    return None if files == ENV_FILE.get(name, []) else f"env_file is {files}"


def is_pinned_elsewhere(name: str, service: Service) -> str | None:
    """In ``versions.env``, where one line raises it; the worker's tag in ``release.env``, where deploys write it."""
    image = str(service.get("image", ""))
    pinned = OUR_IMAGES.get(name, IMAGE).fullmatch(image)
    return None if pinned else f"image is {image}"


def has_only_known_keys(_: str, service: Service) -> str | None:
    """Somebody thinks about a key before it is used."""
    unknown = {key for key, value in service.items() if value not in ([], {})} - KNOWN_KEYS
    return f"nobody has thought about {', '.join(sorted(unknown))}" if unknown else None


RULES: Final[Mapping[str, Rule]] = {
    rule.__name__: rule
    for rule in (
        restarts,
        is_limited,
        gains_no_privilege,
        has_no_capability,
        is_not_root,
        is_read_only,
        writes_in_named_places,
        has_bounded_logs,
        is_on_the_network,
        publishes_what_it_may,
        mounts_what_it_may,
        checks_its_health,
        waits_for_health,
        shows_no_secret,
        holds_no_secret,
        reads_env_file_as_it_may,
        is_pinned_elsewhere,
        has_only_known_keys,
    )
}


def _port(port: object) -> object:
    if isinstance(port, Mapping):
        return port
    published, _, target = str(port).rpartition(":")
    return {"published": published, "target": int(target)}


def _mount(volume: object) -> object:
    if not isinstance(volume, str):
        return volume
    source, target, *mode = volume.split(":")
    kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    return {"type": kind, "source": source, "target": target, "read_only": mode == ["ro"]}


def _comes_from_elsewhere(name: str, value: str) -> bool:
    stops = re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value)
    return bool(stops) or (name in OPTIONAL_SECRETS and value == f"${{{name}:-}}")


def _may_be_mounted(service: str, mount: Mapping[str, Any]) -> bool:
    source, only_read = str(mount.get("source") or ""), bool(mount.get("read_only"))
    if mount.get("type") == "volume":
        return VOLUMES.get(service, {}).get(source) == only_read
    directory = source.removeprefix("./")
    if (service, directory) in OF_THE_HOST:
        return only_read
    made = mount.get("bind", {}).get("create_host_path", True)
    its_own = directory in MOUNTED_DIRECTORIES.get(service, ())
    return mount.get("type") == "bind" and its_own and only_read and not made


def _seconds(text: str) -> float:
    """Of a duration of Compose in minutes and seconds; any other counts as endless."""
    parts = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text)
    return math.inf if parts is None else int(parts[1] or 0) * 60 + int(parts[2] or 0)
