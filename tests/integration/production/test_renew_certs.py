"""scripts/renew-certs.sh with the real nginx and the real openssl; docker and certbot are stand-ins (story 6.3)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509

from tests.support.edge import DOMAIN, NGINX_USER_ID, Edge, wait_until
from tests.support.tracked import REPOSITORY

SCRIPT: Final = REPOSITORY / "scripts" / "renew-certs.sh"
RENEWED: Final = "wearon_certificate_renewal_last_success_timestamp_seconds"
EXPIRES: Final = "wearon_certificate_expiry_timestamp_seconds"
FAILED, USAGE = 3, 2
BARE_PATH: Final = "/usr/bin:/bin"
"""What cron gives."""

DOCKER: Final = '''#!{python} -SE
"""Stand-in for docker: nginx is the real one on loopback, certbot is a script that the test writes."""
import os, subprocess, sys
with open("{folder}/calls.log", "a") as log:
    print(*sys.argv[1:], file=log)
if sys.stdin.read(1) or os.isatty(0) or "DOMAIN" in os.environ:
    sys.exit("not as cron does it")
match sys.argv[1:]:
    case ["compose", "-f", "docker-compose.prod.yml", "run", "--rm", "--no-deps", "-T", "certbot", "renew", *options]:
        if options != ["--cert-name", "{domain}", "--non-interactive", "--no-random-sleep-on-renew"]:
            sys.exit("certbot would be asked otherwise")
        sys.exit(subprocess.run(["sh", "{folder}/certbot"]).returncode)
    case ["compose", "-f", "docker-compose.prod.yml", "exec", "-T", "nginx", "cat", path]:
        sys.exit(subprocess.run(["cat", path.replace("/etc/letsencrypt", "{certificates}")]).returncode)
    case ["compose", "-f", "docker-compose.prod.yml", "exec", "-T", "nginx", "/bin/sh", _, "reload"]:
        user = {user}
        sys.exit(subprocess.run(["{source}/start.sh", "reload"], env={environment}, user=user, group=user).returncode)
sys.exit("not in the design: " + " ".join(sys.argv[1:]))
'''


class Host:
    """``/opt/wearon`` with a stand-in for docker, in front of a real nginx."""

    def __init__(self, folder: Path, edge: Edge) -> None:
        self.edge = edge
        self.served_within_seconds = 30
        self.folder = folder
        self.home = folder / "opt"
        self.home.mkdir()
        for name, content in (
            ("docker-compose.prod.yml", ""),
            ("versions.env", ""),
            ("release.env", "WORKER_TAG=v1\n"),
            (".env", f"DOMAIN={DOMAIN}\nREDIS_PASSWORD=s3cret\n"),
        ):
            (self.home / name).write_text(content)
        docker = folder / "bin" / "docker"
        docker.parent.mkdir()
        user = NGINX_USER_ID if os.geteuid() == 0 else None
        docker.write_text(
            DOCKER.format(
                python=sys.executable,
                folder=folder,
                domain=DOMAIN,
                certificates=edge.certificates,
                user=user,
                source=edge.source,
                environment=edge.environment,
            )
        )
        docker.chmod(0o755)
        self.certbot_does("exit 0")

    def certbot_does(self, script: str) -> None:
        (self.folder / "certbot").write_text(script)

    def command(self, *arguments: str) -> list[str]:
        """As cron runs it: no environment but what is named, no terminal."""
        return [
            "env",
            "-i",
            f"PATH={self.folder / 'bin'}:{BARE_PATH}",
            f"WEARON_HOME={self.home}",
            f"WEARON_HTTPS_ADDRESS=127.0.0.1:{self.edge.https_port}",
            f"WEARON_SERVED_WITHIN_SECONDS={self.served_within_seconds}",
            "WEARON_POLL_SECONDS=0.05",
            str(SCRIPT),
            *arguments,
        ]

    def renew(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One run, with its standard input closed."""
        return subprocess.run(
            ["sh", "-c", '"$@" <&-', "sh", *self.command(*arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )

    def calls(self, word: str) -> int:
        log = self.folder / "calls.log"
        return sum(word in line.split() for line in log.read_text().splitlines()) if log.exists() else 0

    def metric(self, name: str) -> float | None:
        file = self.home / "metrics" / f"{name}.prom"
        return float(file.read_text().splitlines()[-1].split()[1]) if file.exists() else None


@pytest.fixture
def host(tmp_path: Path, edge: Edge) -> Host:
    edge.certify()
    edge.reload()
    return Host(tmp_path, edge)


def renewed_elsewhere(host: Host) -> tuple[str, int]:
    """What certbot would put in place: a script that does it, and the serial number it then has."""
    chain, key = host.edge.authority.sign(x509.DNSName(DOMAIN))
    next_one = host.folder / "next"
    next_one.mkdir()
    (next_one / "fullchain.pem").write_bytes(chain)
    (next_one / "privkey.pem").write_bytes(key)
    live = host.edge.certificates / "live" / DOMAIN
    return f"cat {next_one}/fullchain.pem >{live}/fullchain.pem && cat {next_one}/privkey.pem >{live}/privkey.pem", (
        x509.load_pem_x509_certificate(chain).serial_number
    )


def test_nothing_is_due_so_nothing_is_reloaded_and_the_success_is_written(host: Host) -> None:
    before = host.edge.serving()
    done = host.renew()
    assert done.returncode == 0, done.stderr
    assert "port 443 shows the certificate of the volume" in done.stdout
    assert (host.calls("renew"), host.calls("reload")) == (1, 0)
    assert host.edge.serving() == before
    assert abs((host.metric(RENEWED) or 0) - time.time()) < 60
    assert 0 < (host.metric(EXPIRES) or 0) - time.time() <= 3600
    assert (host.home / "metrics" / f"{RENEWED}.prom").stat().st_mode & 0o777 == 0o644


def test_a_new_certificate_is_served_before_the_success_is_written(host: Host) -> None:
    does, serial = renewed_elsewhere(host)
    host.certbot_does(does)
    done = host.renew()
    assert done.returncode == 0, done.stderr
    assert "port 443 shows the new certificate" in done.stdout
    assert (host.edge.served_serial(), host.calls("reload")) == (serial, 1)
    assert host.metric(RENEWED)
    assert "s3cret" not in done.stdout + done.stderr

    again = host.renew()
    assert (again.returncode, host.calls("reload")) == (0, 1), "the second run changes nothing"


def test_a_run_that_was_killed_after_certbot_is_finished_by_the_next_one(host: Host) -> None:
    does, serial = renewed_elsewhere(host)
    host.certbot_does(f"{does}; touch {host.folder}/renewed; exec sleep 60")
    killed = subprocess.Popen(host.command(), start_new_session=True, stdin=subprocess.DEVNULL)
    wait_until((host.folder / "renewed").exists, "certbot has renewed")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert host.edge.served_serial() != serial
    assert host.metric(RENEWED) is None

    host.certbot_does("exit 0")  # nothing is due any more
    done = host.renew()
    assert done.returncode == 0, done.stderr
    assert (host.edge.served_serial(), host.calls("reload")) == (serial, 1)
    assert host.metric(RENEWED)


def test_a_failed_renewal_is_told_with_how_long_there_is_time_and_writes_no_success(host: Host) -> None:
    host.certbot_does("echo 'Challenge failed for domain' >&2; exit 1")
    done = host.renew()
    assert done.returncode == FAILED
    assert "Challenge failed for domain" in done.stderr
    assert "certbot could not renew; its words are above. The certificate in use is good until 20" in done.stderr
    assert host.metric(RENEWED) is None


def test_a_failed_renewal_still_takes_up_what_an_earlier_run_left(host: Host) -> None:
    does, serial = renewed_elsewhere(host)
    host.certbot_does(f"{does}; exit 1")
    assert host.renew().returncode == FAILED
    assert host.edge.served_serial() == serial


def test_a_configuration_that_nginx_refuses_leaves_the_old_certificate_and_writes_no_success(host: Host) -> None:
    snippet = host.edge.source / "snippets" / "limits.conf"
    as_shipped = snippet.read_text()
    before = host.edge.served_serial()
    does, _ = renewed_elsewhere(host)
    host.certbot_does(does)
    snippet.write_text(as_shipped + "no_such_directive on;\n")
    done = host.renew()
    snippet.write_text(as_shipped)
    assert done.returncode == FAILED
    assert 'unknown directive "no_such_directive"' in done.stderr
    assert "What it serves is what it served before." in done.stderr
    assert host.edge.served_serial() == before
    assert host.metric(RENEWED) is None


def test_a_reload_that_does_not_show_on_port_443_is_no_success(host: Host) -> None:
    does, _ = renewed_elsewhere(host)
    host.certbot_does(does)
    host.served_within_seconds = 1
    docker = host.folder / "bin" / "docker"
    docker.write_text(docker.read_text().replace('start.sh", "reload"]', 'start.sh", "render"]'))
    done = host.renew()
    assert done.returncode == FAILED
    assert "still does not show the certificate of the volume" in done.stderr
    assert host.metric(RENEWED) is None


def test_a_certificate_that_has_ended_is_no_success(host: Host) -> None:
    expired = host.edge.authority.sign(x509.DNSName(DOMAIN), ended=True)
    live = host.edge.certificates / "live" / DOMAIN
    for name, content in zip(("fullchain.pem", "privkey.pem"), expired, strict=True):
        (live / name).write_bytes(content)
    done = host.renew()
    assert done.returncode == FAILED
    assert f"The certificate of {DOMAIN} ended on 20" in done.stderr
    assert host.metric(RENEWED) is None


def test_without_a_certificate_it_says_who_orders_one(host: Host) -> None:
    (host.edge.certificates / "live" / DOMAIN / "fullchain.pem").unlink()
    done = host.renew()
    assert done.returncode == FAILED
    assert "first-deploy.sh" in done.stderr


def test_a_dry_run_touches_nothing(host: Host) -> None:
    done = host.renew("--dry-run")
    assert done.returncode == 0
    assert f"would ask certbot whether the certificate of {DOMAIN} is due" in done.stdout
    assert not (host.folder / "calls.log").exists()
    assert host.metric(RENEWED) is None


def test_help_and_an_unknown_word(host: Host) -> None:
    helped, unknown = host.renew("--help"), host.renew("--force")
    assert (helped.returncode, unknown.returncode) == (0, USAGE)
    assert unknown.stderr.startswith(helped.stdout)
