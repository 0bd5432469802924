"""Stand-in for docker (and curl, dig, ...) in script tests: a little state in a JSON file, and strict about arguments.

A launcher under the name of what it stands in for calls ``main``. What a script says that the real program would not
take, or that no script should say, ends with status 64 and a line in ``refused``. ``make test-infra`` runs the same
scripts on the real ones.
"""

from __future__ import annotations

import binascii
import fcntl
import marshal
import os
import sys
import time

TYPE_CHECKING = False
"""As in :mod:`typing`. A script starts thirty stand-ins, and json, typing and pathlib are two thirds of what one takes;
so none of them is imported, and paths are strings."""
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    State = dict[str, Any]

HERE = os.path.dirname(os.path.dirname(os.path.realpath(sys.argv[0])))
"""The folder of this host: ``bin`` with the stand-ins, ``state``, ``calls.log``."""

REFUSED_STATUS = 64
IMAGE = "ghcr.io/wearon/wearon-worker"
SECRETS_NEVER_IN_ENVIRONMENT = ("OPENAI_API_KEY", "REDIS_PASSWORD", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL")
SERVICES = ("redis", "worker", "nginx")
BRIDGE = "grafana-whatsapp-webhook"


def refuse(why: str) -> NoReturn:
    words = f"{os.path.basename(sys.argv[0])} {' '.join(sys.argv[1:])}: {why}"
    with open(f"{HERE}/refused", "a") as file:
        file.write(words + "\n")
    sys.stderr.write(words + "\n")
    sys.exit(REFUSED_STATUS)


def out(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def run_program(*words: str) -> int:
    """Its status; the module subprocess would be half of what a stand-in takes to start."""
    return os.spawnvp(os.P_WAIT, words[0], words)  # noqa: S606 - nothing of a shell is wanted


def read_state() -> State:
    with open(f"{HERE}/state", "rb") as file:
        state: State = marshal.load(file)  # noqa: S302 - written by the test and by us
    return state


def write_state(state: State) -> None:
    with open(f"{HERE}/state.new", "wb") as file:
        marshal.dump(state, file)
    os.rename(f"{HERE}/state.new", f"{HERE}/state")


def content_of(path: str) -> str:
    with open(path) as file:
        return file.read()


def digest(text: str) -> str:
    """64 hexadecimal digits, as a SHA-256 has."""
    return f"{binascii.crc32(text.encode()):08x}" * 8


def certificate_files() -> list[str]:
    """The certificates that are there."""
    live = f"{HERE}/certificates/live"
    names = os.listdir(live) if os.path.isdir(live) else []
    files = [f"{live}/{name}/fullchain.pem" for name in names]
    return [file for file in files if os.path.exists(file)]


def note_health(state: State) -> None:
    """Once a worker was healthy, were there moments without one?"""
    healthy = sum(c["service"] == "worker" and c["health"] == "healthy" for c in state["containers"].values())
    if healthy:
        state["had_healthy_worker"] = True
    elif state.get("had_healthy_worker"):
        state["moments_without_healthy_worker"] = state.get("moments_without_healthy_worker", 0) + 1


# --- Compose ---------------------------------------------------------------------------------------------------------


def value(file: str, key: str) -> str:
    for line in content_of(file).splitlines():
        if line.startswith(key + "="):
            return line.partition("=")[2]
    return ""


def worker_tag() -> str:
    return os.environ.get("WORKER_TAG") or value("release.env", "WORKER_TAG") or refuse("WORKER_TAG is missing")


def config_hash(service: str) -> str:
    return digest(content_of(".env") + worker_tag() if service == "worker" else "pinned")


def start_container(state: State, service: str) -> str:
    state["started"] += 1
    identity = digest(f"{service} {state['started']}")
    tag = worker_tag() if service == "worker" else "pinned"
    if service == "worker" and tag not in state["images"]:
        refuse(f"no image {tag}; the real one would pull it")
    health = state["health_of_tag"].get(tag, "healthy")
    state["containers"][identity] = {
        "service": service,
        "tag": tag,
        "hash": config_hash(service),
        "state": "restarting" if health == "dies" else "running",
        "health": "starting" if health == "dies" else health,
        "restarts": 9 if health == "dies" else 0,
    }
    return identity


def up_service(state: State, service: str, scale: int, recreate: bool) -> None:
    mine = [i for i, c in state["containers"].items() if c["service"] == service]
    wanted = config_hash(service)
    for identity in mine:
        if state["containers"][identity]["state"] == "exited":
            tag = state["containers"][identity]["tag"]
            state["containers"][identity] |= {"state": "running", "health": state["health_of_tag"].get(tag, "healthy")}
    # As Compose does: too many means that the outdated ones go first, and the newest of equal ones.
    mine.sort(key=lambda i: (state["containers"][i]["hash"] != wanted, list(state["containers"]).index(i)))
    for identity in mine[scale:]:
        del state["containers"][identity]
    for identity in mine[:scale]:
        if recreate and state["containers"][identity]["hash"] != wanted:
            del state["containers"][identity]
            start_container(state, service)
    for _ in range(scale - len(mine)):
        start_container(state, service)


def compose_up(state: State, rest: list[str]) -> int:
    match rest:
        case ["-d", "--wait"]:
            for service in SERVICES:
                up_service(state, service, 1, recreate=True)
            return 1 if start_monitors(state) else 0 if all_are_well(state, SERVICES) else 1
        case ["-d", "--no-deps", "--no-recreate", "--scale", scale, "worker"] if scale.startswith("worker="):
            up_service(state, "worker", int(scale.removeprefix("worker=")), recreate=False)
        case ["-d", "--no-deps", "--scale", "worker=1", "worker"]:
            up_service(state, "worker", 1, recreate=True)
        case ["-d", "--no-deps", "--wait", "redis"]:
            up_service(state, "redis", 1, recreate=True)
        case ["-d", "--no-deps", "nginx"]:
            up_service(state, "nginx", 1, recreate=True)
        case ["-d", "--no-deps", "--wait", *services] if tuple(services) == SERVICES:
            for service in SERVICES:
                up_service(state, service, 1, recreate=True)
        case _:
            refuse("such an `up` is not in the design")
    asked = ("redis",) if rest[-1] == "redis" else SERVICES
    return 1 if "--wait" in rest and not all_are_well(state, asked) else 0


def all_are_well(state: State, services: Sequence[str]) -> bool:
    return all(c["health"] == "healthy" for c in state["containers"].values() if c["service"] in services)


def start_monitors(state: State) -> bool:
    """Whether one is ill. A test names them with their health; one without a container has an image nobody has."""
    for name, health in state.get("monitors", {}).items():
        if health != "no image" and not any(c["service"] == name for c in state["containers"].values()):
            monitor = {"service": name, "tag": "pinned", "hash": "pinned", "state": "running", "restarts": 0}
            state["containers"][digest(name)] = {**monitor, "health": health}
    return any(health != "healthy" for health in state.get("monitors", {}).values())


def compose_pull(state: State, rest: list[str]) -> int:
    if rest == [BRIDGE]:
        return 0 if worker_tag() in state["registry"] else 1
    if rest not in (["worker"], ["--quiet", "--policy", "missing"]):
        refuse("such a `pull` is not in the design")
    tag = worker_tag()
    if rest != ["worker"] and tag in state["images"]:
        return 0
    if tag not in state["registry"]:
        sys.stderr.write(f"manifest unknown: {tag}" + "\n")
        return 1
    if tag not in state["images"]:
        state["images"].insert(0, tag)
    return 0


RUN = ["--rm", "--no-deps", "-T"]


def compose_run(state: State, rest: list[str]) -> int:  # noqa: C901, PLR0911, PLR0912 - a table of what may be asked
    if rest[:3] != RUN:
        refuse("a one-off container is removed, starts nothing else and has no terminal: --rm --no-deps -T")
    certificates = f"{HERE}/certificates"
    match rest[3:]:
        case ["--entrypoint", "python", "certbot", "-c", _program, name]:
            return 0 if name in state["resolves"] else 1
        case ["--entrypoint", "stat", "certbot", "-c", "%u:%g", directory]:
            out(state["owners"].get(directory, "0:0"))
        case ["--user", "0:0", "--cap-add", "CHOWN", "--entrypoint", "chown", "certbot", owner, directory]:
            state["owners"][directory] = owner
        case ["--entrypoint", "cat", "certbot", path]:
            file = f"{certificates}/{path.removeprefix('/etc/letsencrypt/')}"
            if not os.path.exists(file):
                return 1
            sys.stdout.write(content_of(file))
        case ["--entrypoint", "tar", "certbot", "-C", "/etc/letsencrypt", mode, "-", *names]:
            os.makedirs(certificates, exist_ok=True)
            return run_program("tar", "-C", certificates, mode, "-", *names)
        case ["certbot", "certonly", *options]:
            return order(state, options)
        case ["--entrypoint", "tar", "grafana", "-C", "/var/lib/grafana", "-xf", "-"]:
            if any(c["service"] == "grafana" and c["state"] == "running" for c in state["containers"].values()):
                refuse("Grafana still has its database open")
            state["grafana_restored"] = sys.stdin.read()
            return int(state.get("grafana_takes_nothing", 0))
        case ["--entrypoint", "sh", "redis", "-c", program, name, "/data"]:
            if any(c["service"] == "redis" and c["state"] == "running" for c in state["containers"].values()):
                refuse("Redis still serves that volume")
            os.makedirs(f"{HERE}/redis", exist_ok=True)
            return run_program("sh", "-c", program, name, f"{HERE}/redis")
        case _:
            refuse("such a `run` is not in the design")
    return 0


def order(state: State, options: list[str]) -> int:
    needed = {"--webroot", "--non-interactive", "--agree-tos", "--keep-until-expiring"}
    if not needed <= set(options):
        refuse(f"an order needs {sorted(needed)}")
    domain, server = options[options.index("--domain") + 1], options[options.index("--server") + 1]
    if state["owners"].get("/etc/letsencrypt") != "101:101":
        refuse("certbot may not write there yet")
    if not any(c["service"] == "nginx" for c in state["containers"].values()):
        refuse("nobody answers the authority's question: nginx is not up")
    state["orders"].append(["rehearsal" if "--dry-run" in options else "real", server])
    if state.get("authority_refuses"):
        sys.stderr.write("Detail: DNS problem: NXDOMAIN" + "\n")
        return 1
    if "--dry-run" not in options:
        for name, text in {
            f"renewal/{domain}.conf": f"server = {server}\n",
            f"live/{domain}/fullchain.pem": "VALID\n",
        }.items():
            path = f"{HERE}/certificates/{name}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
    return 0


def compose_exec(state: State, rest: list[str]) -> int:
    match rest:
        case ["-T", "nginx", "/bin/sh", "/etc/wearon/nginx/start.sh", "reload"]:
            state["https"] = bool(certificate_files())
        case ["-T", "redis", "redis-cli", "--rdb", "-"]:
            with open(f"{HERE}/dump.rdb", "rb") as file:
                sys.stdout.buffer.write(file.read())
            sys.stderr.write(state.get("redis_cli_says", "sending REPLCONF rdb-only\n"))
            return 1 if "redis_cli_says" in state else 0
        case _:
            refuse("such an `exec` is not in the design")
    return 0


def compose(state: State, arguments: list[str]) -> int:  # noqa: C901, PLR0912 - a table of what may be asked
    if arguments[:2] != ["-f", "docker-compose.prod.yml"]:
        refuse("the file is always named")
    if leaked := [name for name in SECRETS_NEVER_IN_ENVIRONMENT if name in os.environ]:
        refuse(f"{leaked} of the caller's shell would win over .env")
    arguments = arguments[2:]
    if arguments[:2] == ["--profile", "certificates"]:
        arguments = arguments[2:]
    command, *rest = arguments
    if command in ("up", "pull", "config", "run", "exec"):
        for name in ("docker-compose.prod.yml", "compose/services.yml", "versions.env", ".env", "release.env"):
            if not os.path.exists(name):
                refuse(f"{name} is not there")
        for name in ("DOMAIN", "REDIS_PASSWORD"):
            if not value(".env", name):
                refuse(f"{name} is missing in .env; the real one refuses every command then")
    if command == "up":
        return compose_up(state, rest)
    if command == "pull":
        return compose_pull(state, rest)
    if command == "run":
        return compose_run(state, rest)
    if command == "exec":
        return compose_exec(state, rest)
    if command == "config" and rest == ["--services"]:
        out("\n".join([*SERVICES, *state.get("monitors", {})]))
        return 0
    if command == "config" and rest == ["--hash", "worker"]:
        out("worker", config_hash("worker"))
        return 0
    refuse("such a command is not in the design")


# --- docker ----------------------------------------------------------------------------------------------------------

STATE_FORMAT = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.RestartCount}}"
LOG_FORMAT = "{{if .State.Health}}{{range .State.Health.Log}}health check: {{.ExitCode}} {{.Output}}{{end}}{{end}}"
SERVICE_FORMAT = '{{index .Config.Labels "com.docker.compose.service"}}'
CURRENT_FORMAT = '{{index .Config.Labels "com.docker.compose.config-hash"}} {{.Image}}'
DIGEST_FORMAT = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}"


def image_id(tag: str) -> str:
    return "sha256:" + digest(tag)


def docker_inspect(state: State, form: str, identity: str) -> int:
    container = state["containers"].get(identity)
    if container is None:
        return 1
    if form == SERVICE_FORMAT:
        out(container["service"])
    elif form == STATE_FORMAT:
        out(container["state"], container["health"], container["restarts"])
    elif form == LOG_FORMAT:
        out("health check: 1 worker degraded: redis")
    elif form == CURRENT_FORMAT:
        out(container["hash"], image_id(container["tag"]))
    else:
        refuse("unknown format")
    return 0


def docker_image(state: State, rest: list[str]) -> int:  # noqa: C901, PLR0912 - a table of what may be asked
    match rest:
        case ["inspect", *options, image]:
            tag = image.rpartition(":")[2]
            known = state["bundle_images"] if image.startswith(IMAGE + "-bundle:") else state["images"]
            if tag not in known:
                return 1
            if options == ["--format", "{{.Id}}"]:
                out(image_id(tag))
            elif options == ["--format", DIGEST_FORMAT]:
                out(f"{IMAGE}@{image_id(tag)}")
            elif options:
                refuse("unknown format")
        case ["ls", "--format", "{{.Tag}} {{.ID}}", name] if name in (IMAGE, f"{IMAGE}-bundle"):
            tags = state["images" if name == IMAGE else "bundle_images"]
            listed = [f"{tag} {image_id(tag)}" for tag in tags]
            out(
                "\n".join([*listed, *(f"<none> {untagged}" for untagged in state.get("untagged", ()) if name == IMAGE)])
            )
        case ["ls", "--format", "{{.Tag}} {{.ID}}", name] if name == f"{IMAGE}-whatsapp-bridge":
            out("\n".join(f"{tag} {image_id(tag)}" for tag in state.get("bridge_images", ())))
        case ["rm", image] if image.startswith(f"{IMAGE}-whatsapp-bridge:"):
            state["bridge_images"].remove(image.rpartition(":")[2])
        case ["rm", image] if image in state.get("untagged", ()):
            state["untagged"].remove(image)
        case ["ls", "--quiet", _name]:
            out("\n".join(state["images"]))
        case ["rm", image]:
            tag = image.rpartition(":")[2]
            known = state["bundle_images"] if image.startswith(IMAGE + "-bundle:") else state["images"]
            if known is state["images"] and any(c["tag"] == tag for c in state["containers"].values()):
                return 1
            known.remove(tag)
        case _:
            refuse("such an `image` command is not in the design")
    return 0


def docker_ps(state: State, rest: list[str]) -> int:
    label = "label=com.docker.compose."
    match rest:
        case ["--all", "--quiet", "--no-trunc", "--filter", project, "--filter", service, "--filter", oneoff]:
            if project != f"{label}project=wearon" or oneoff != f"{label}oneoff=False":
                refuse("other containers would be found, too")
            name = service.removeprefix(f"{label}service=")
            out("\n".join(i for i, c in state["containers"].items() if c["service"] == name))
        case ["--quiet", "--filter", _project, "--filter", port] if port.startswith("publish="):
            out("\n".join(i for i, c in state["containers"].items() if c["service"] == "nginx"))
        case _:
            refuse("such a `ps` is not in the design")
    return 0


def docker_run(state: State, rest: list[str]) -> int:
    if "--env" not in rest or rest[rest.index("--env") + 1] != "PGDATABASE" or "--rm" not in rest:
        refuse("only psql runs so, and gets the address by name only")
    if "PGDATABASE" not in os.environ or any(os.environ["PGDATABASE"] in argument for argument in rest):
        refuse("the address is in the process list")
    state["migrated"] = [argument for argument in rest if argument.startswith("/migrations/")]
    return 1 if state.get("database_refuses") else 0


def docker(state: State, arguments: list[str]) -> int:  # noqa: C901, PLR0911, PLR0912 - a table of what may be asked
    if not state["docker_installed"]:
        sys.stderr.write("docker: command not found" + "\n")
        return 127
    command, *rest = arguments
    match command, rest:
        case "version", []:
            out("Client: ... Server: ...")
        case "version", ["--format", "{{.Server.Version}}"]:
            out("29.9.1")
        case "version", ["--format", form] if "APIVersion" in form:
            out("1.54 down to 1.40; this client speaks 1.54")
        case "compose", ["version", *_]:
            out("5.6.1")
        case "compose", _:
            return compose(state, rest)
        case "ps", _:
            return docker_ps(state, rest)
        case "inspect", ["--format", form, identity]:
            return docker_inspect(state, form, identity)
        case "image", _:
            return docker_image(state, rest)
        case "run", _:
            return docker_run(state, rest)
        case "logs", ["--tail", _lines, _identity]:
            sys.stderr.write("cannot_start: OPENAI_API_KEY is refused" + "\n")
        case "stop", [identity]:
            state["stopped"].append(identity)
            state["containers"][identity] |= {"state": "exited", "health": "none"}
        case "rm", [identity]:
            if state["containers"].get(identity, {}).get("state") == "running":
                refuse("it runs")
            state["containers"].pop(identity, None)
        case (("pause" | "unpause"), [identity]):
            before, after = ("running", "paused") if command == "pause" else ("paused", "running")
            if state["containers"][identity]["state"] != before:
                refuse(f"it is not {before}")
            state["containers"][identity]["state"] = after
        case "cp", [source, "-"] if source.endswith(":/var/lib/grafana/grafana.db"):
            if state["containers"][source.partition(":")[0]]["state"] != "paused":
                refuse("the database may be in the middle of a change")
            if "signal_while_copied" in state:
                os.kill(os.getppid(), state["signal_while_copied"])
            sys.stdout.write("a tar\n")
            return int(state.get("grafana_copy_breaks", 0))
        case "pull", ["--quiet", image] if image.startswith(f"{IMAGE}-bundle:"):
            tag = image.rpartition(":")[2]
            if tag not in state["registry"]:
                return 1
            if tag not in state["bundle_images"]:
                state["bundle_images"].insert(0, tag)
        case "create", [image, "none"] if image.startswith(f"{IMAGE}-bundle:"):
            out(f"bundle:{image.rpartition(':')[2]}")
        case "cp", [source, "-"] if source.startswith("bundle:") and source.endswith(":/CHANGELOG.md"):
            files = f"{HERE}/bundles/{source.split(':')[1]}"
            return run_program("tar", "-C", files, "-cf", "-", "CHANGELOG.md")
        case "cp", [source, target] if source.startswith("bundle:"):
            files = f"{HERE}/bundles/{source.split(':')[1]}"
            return 1 if source in state.get("copy_breaks", ()) else run_program("cp", "-a", f"{files}/.", target)
        case _:
            refuse("such a command is not in the design")
    return 0


# --- The other programs ----------------------------------------------------------------------------------------------


def curl(state: State, arguments: list[str]) -> int:
    address = arguments[-1]
    if "--head" in arguments:
        moment = time.gmtime(time.time() + state.get("clock_error_seconds", 0))
        out(time.strftime("HTTP/2 200\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", moment))
    elif address.startswith("https://download.docker.com/"):
        out("Docker's key")
    elif address.endswith("/health"):
        if not state.get("https"):
            sys.stderr.write("curl: (35) TLS alert: unrecognized name" + "\n")
            return 35
        well = any(c["service"] == "worker" and c["health"] == "healthy" for c in state["containers"].values())
        out('{"status": "ok"}' if well else '{"status": "degraded", "degraded": ["redis"]}')
    else:
        refuse("nobody else is asked")
    return 0


def other(state: State, program: str, arguments: list[str]) -> int:  # noqa: C901, PLR0912 - a table of what may be asked
    match program, arguments:
        case "curl", _:
            return curl(state, arguments)
        case "dig", ["+short", _name, kind]:
            out("\n".join(state["dns"].get(kind, [])))
        case "ip", ["-o", "address", "show", "scope", "global"]:
            for number, address in enumerate(state["addresses"]):
                out(f"{number}: eth0    inet{'6' if ':' in address else ''} {address}/24 scope global eth0")
        case "ss", ["-H", "-ltnp", condition]:
            out(state["ports"].get(condition.rpartition(":")[2], ""))
        case "apt-get", ["-qq", "update"]:
            pass
        case "apt-get", ["-qq", "install", "--yes", *packages]:
            state["packages"] += packages
            if "docker-ce" in packages:
                state["docker_installed"] = True
        case "gpg", ["--show-keys", "--with-colons", _file]:
            out(f"fpr:::::::::{state['docker_key']}:")
        case "dpkg", ["--print-architecture"]:
            out("amd64")
        case "df", ["--output=avail", "--block-size=1M", _directory]:
            out("Avail\n" + str(state["disk_free_mib"]))
        case "crontab", _:
            pass
        case _:
            refuse("such a command is not in the design")
    return 0


def main() -> int:
    program, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    with open(f"{HERE}/calls.log", "a") as log:
        log.write(f"{program} {' '.join(arguments)}\n")
    if program == "openssl":  # reads what another stand-in writes, which needs the lock
        if arguments != ["x509", "-noout", "-checkend", "0"]:
            refuse("such a command is not in the design")
        return 0 if sys.stdin.read() == "VALID\n" else 1
    if arguments[:1] == ["stop"]:  # a worker that finishes its tasks; the others are not kept waiting by it
        while os.path.exists(f"{HERE}/drains"):
            time.sleep(0.02)
    with open(f"{HERE}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = read_state()
        try:
            return docker(state, arguments) if program == "docker" else other(state, program, arguments)
        except Exception as error:
            refuse(f"the stand-in broke: {error!r}")
        finally:
            note_health(state)
            write_state(state)
