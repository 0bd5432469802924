"""A host for the scripts: a folder in the place of /opt/wearon, and stand-ins first on the PATH."""

import marshal
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SCRIPTS: Final = REPOSITORY / "scripts"
LAUNCHER: Final = f"""#!{sys.executable} -SE
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import stand_in_docker
sys.exit(stand_in_docker.main())
"""
"""Imported and not copied, so that Python compiles it once."""

PROGRAMS: Final = ("docker", "curl", "dig", "ip", "ss", "apt-get", "gpg", "dpkg", "openssl", "df", "crontab")
BUNDLE: Final = (
    "docker-compose.prod.yml",
    "versions.env",
    "CHANGELOG.md",
    "compose",
    "nginx",
    "redis",
    "scripts",
    "supabase",
    *(f"monitoring/{name}" for name in ("alloy", "blackbox", "docker-socket", "grafana", "loki", "prometheus")),
)
DOMAIN: Final = "worker.example.com"
RUN_TIMEOUT_SECONDS: Final = 120.0
"""For one script on stand-ins; it takes a few seconds on a busy machine."""

ANSWERS: Final = {
    "CERTBOT_EMAIL": "ops@wearon.example",
    "SUPABASE_URL": "https://abcdefgh.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "eyJ-service-role",
    "OPENAI_API_KEY": "sk-proj-secret",
}
"""What a person would type."""

OS_RELEASE: Final = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'


@dataclass
class Finished:
    """How a script ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


class ScriptHost:
    """One machine: its directory, what its stand-ins remember, and a way to run a script there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "opt" / "wearon"
        (folder / "bin").mkdir(parents=True)
        (folder / "cron.d").mkdir()
        (folder / "commands").mkdir()
        (folder / "apt").mkdir()
        (folder / "os-release").write_text(OS_RELEASE)
        (folder / "meminfo").write_text("MemTotal:        4015168 kB\n")
        for program in PROGRAMS:
            file = folder / "bin" / program
            file.write_text(LAUNCHER)
            file.chmod(0o755)
        self.save(
            containers={},
            started=0,
            stopped=[],
            images=[],
            bundle_images=[],
            registry=["v1", "v2", "v3"],
            health_of_tag={},
            owners={},
            orders=[],
            resolves=["acme-v02.api.letsencrypt.org"],
            docker_installed=True,
            docker_key="9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
            dns={"A": ["203.0.113.7"], "AAAA": []},
            addresses=["203.0.113.7"],
            ports={},
            packages=[],
            disk_free_mib=50_000,
        )

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = marshal.loads((self.folder / "state").read_bytes())  # noqa: S302 - our stand-in's
        return state

    def save(self, **changes: object) -> None:
        path = self.folder / "state"
        before = self.state if path.exists() else {}
        path.write_bytes(marshal.dumps(before | changes))

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls.log"
        return log.read_text().splitlines() if log.exists() else []

    def forget_calls(self) -> None:
        (self.folder / "calls.log").unlink(missing_ok=True)

    def refused(self) -> str:
        file = self.folder / "refused"
        return file.read_text() if file.exists() else ""

    def workers(self) -> list[dict[str, Any]]:
        return [c for c in self.state["containers"].values() if c["service"] == "worker"]

    def files(self) -> dict[str, bytes]:
        """Everything under the host's directory, by name."""
        return {
            str(file.relative_to(self.home)): file.read_bytes()
            for file in sorted(self.home.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        }

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "WEARON_HOME": str(self.home),
            "WEARON_EUID": "0",
            "WEARON_CRON_DIRECTORY": str(self.folder / "cron.d"),
            "WEARON_COMMAND_DIRECTORY": str(self.folder / "commands"),
            "WEARON_APT_DIRECTORY": str(self.folder / "apt"),
            "WEARON_OS_RELEASE": str(self.folder / "os-release"),
            "WEARON_MEMINFO": str(self.folder / "meminfo"),
            "WEARON_POLL_SECONDS": "0.05",
            "WEARON_HEALTHY_WITHIN_SECONDS": "60",
            "WEARON_PUBLIC_ANSWER_WITHIN_SECONDS": "1",
            **more,
        }

    def run(self, script: str, *arguments: str, stdin: str = "", **more: str) -> Finished:
        done = subprocess.run(
            ["env", "--default-signal", "bash", str(SCRIPTS / script), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(**more),
            timeout=RUN_TIMEOUT_SECONDS,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """One that the test kills; what it says is lost."""
        return subprocess.Popen(
            ["bash", str(SCRIPTS / script), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
        )

    def first_deploy(self, *arguments: str, **more: str) -> Finished:
        return self.run("first-deploy.sh", "--tag", "v1", *arguments, DOMAIN, **(ANSWERS | more))

    def make_bundle(self, target: Path) -> None:
        """A release's files, as in this working copy, or as on this host if it has some already."""
        source = self.home if self.home.exists() else REPOSITORY
        target.mkdir(parents=True)
        for part in BUNDLE:
            if (source / part).is_dir():
                shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source / part, target / part)

    def install(self, tag: str = "v1") -> None:
        """A host as first-deploy leaves it, without the time that takes."""
        self.make_bundle(self.home)
        settings = ANSWERS | {"DOMAIN": DOMAIN, "REDIS_PASSWORD": "p", "REDIS_URL": "redis://default:p@redis:6379/0"}
        settings |= {"GF_SECURITY_ADMIN_PASSWORD": "g", "WHATSAPP_WEBHOOK_SECRET": "w"}
        (self.home / "compose.yaml").symlink_to("docker-compose.prod.yml")
        (self.home / ".env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (self.home / ".env").chmod(0o600)
        (self.home / "release.env").write_text(f"WORKER_TAG={tag}\n")
        (self.home / "deploys.log").write_text(f"2026-11-01T00:00:00Z {tag} sha256:0\n")
        (self.folder / "cron.d" / "wearon").write_text("0 3 * * * root scripts/renew-certs.sh\n")
        self.save(images=[tag], owners={"/etc/letsencrypt": "101:101", "/var/www/acme": "101:101"})
        started = subprocess.run(
            ["docker", "compose", "-f", "docker-compose.prod.yml", "up", "-d", "--wait"],
            cwd=self.home,
            env=self.environment(),
            check=False,
        )
        assert started.returncode == 0, self.refused()
        self.forget_calls()


def shell(home: Path, program: str, *arguments: str, **more: str) -> Finished:
    """A few lines of bash with the scripts' library, on a host with nothing on it."""
    done = subprocess.run(
        ["bash", "-c", f'set -Eeuo pipefail; source "{SCRIPTS}/lib/all.sh"; {program}', "test", *arguments],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "WEARON_HOME": str(home), "LANG": "C.UTF-8", **more},
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def steps_of(script: str) -> list[str]:
    """The names of its steps, in their order, out of its text."""
    lines = (SCRIPTS / script).read_text().splitlines()
    return [words[1] for line in lines if (words := line.split()) and words[0] == "step"]
