"""Debian's sshd on the host under test, which lets in by the line of ``authorized_keys`` in docs/operations.md."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.infra.engine.background import Background
from tests.infra.engine.commands import CommandFailed, attempt, run
from tests.infra.engine.host import NAMES_OF_THE_HOST, Host
from tests.infra.engine.namespaces import HOST, HOST_ADDRESS
from tests.infra.engine.needs import INSTALL_SECONDS, MachineRefused

PACKAGES: Final = ("openssh-server", "libwrap0")
"""Unpacked and not installed: an installed one would start a server on this machine. libwrap0 is what it links to
beyond what every Debian has."""

PORT: Final = 22
SSH_SECONDS: Final = 120.0
"""For one command over SSH; a deploy of what is in force takes some seconds."""

PRIVILEGE_SEPARATION: Final = Path("/run/sshd")
"""Debian's sshd wants it, empty."""

SSHD_ACCOUNT: Final = f"sshd:x:64999:65534::{PRIVILEGE_SEPARATION}:/usr/sbin/nologin\n"
"""passwd(5): a user nobody else is, in Debian's nogroup."""

NO_PASSWORDS: Final = "root:*:20000:0:99999:7:::\nsshd:!:20000::::::\n"
"""shadow(5): no password is right, and root is not locked, for sshd takes no key of a locked account."""

OPERATIONS_PAGE: Final = Path("docs/operations.md")
DOCUMENTED_LINE: Final = re.compile(r"`(restrict,command=\"[^\"]+\") ssh-ed25519 ")
DOCUMENTED_HOME: Final = "/opt/wearon"


@dataclass(frozen=True, slots=True)
class OpenSSH:
    """An unpacked server."""

    program: Path
    libraries: Path


def unpack_openssh(directory: Path, say: Callable[[str], None]) -> OpenSSH:
    """Fetch and unpack it; what a run before unpacked is taken. Raises ``MachineRefused``.

    The calling thread must reach Debian's mirror.
    """
    if (unpacked := _unpacked(directory)) is not None:
        return unpacked
    say(f"unpacking {' and '.join(PACKAGES)} from Debian")
    directory.mkdir(parents=True, exist_ok=True)
    try:
        run(
            *("apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", *PACKAGES),
            cwd=directory,
            timeout_seconds=INSTALL_SECONDS,
        )
    except CommandFailed as failure:
        raise MachineRefused(f"apt-get cannot fetch {' '.join(PACKAGES)}: {failure}") from failure
    for package in directory.glob("*.deb"):
        run("dpkg", "--extract", package, directory)
    if (unpacked := _unpacked(directory)) is None:
        raise MachineRefused(f"{' and '.join(PACKAGES)} hold no sshd with its library; the proofs need Debian's")
    return unpacked


def _unpacked(directory: Path) -> OpenSSH | None:
    """Both parts; nothing where a killed run left one of them."""
    program, libraries = directory / "usr" / "sbin" / "sshd", list(directory.glob("**/libwrap.so.0"))
    return OpenSSH(program, libraries[0].parent) if program.exists() and libraries else None


@dataclass(frozen=True, slots=True)
class DeployKey:
    """Who holds the key, somewhere on the internet."""

    options: tuple[str, ...]

    def ssh(self, *options: str, say: str | None = None) -> tuple[int, str]:
        """``ssh OPTIONS root@host SAY``: its status and output; without ``say`` it asks for a shell."""
        command = ("ssh", *self.options, *options, f"root@{HOST_ADDRESS}", *([] if say is None else [say]))
        return attempt(*command, timeout_seconds=SSH_SECONDS)

    def fetch(self, remote: str, local: Path) -> tuple[int, str]:
        """``sftp``: its status and output."""
        command = ("sftp", "-b", "-", *self.options, f"root@{HOST_ADDRESS}")
        return attempt(*command, stdin=f"get {remote} {local}\n", timeout_seconds=SSH_SECONDS)


@contextmanager
def deploy_door(host: Host, server: OpenSSH, repository: Path) -> Iterator[DeployKey]:
    """The server on the host's port 22 while the block runs, and the one key it lets in."""
    place = host.home.with_name("ssh")
    place.mkdir(mode=0o700)
    for name in ("host_key", "deploy"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", place / name)
    let_in = f"{_documented_options(repository, host.home)} {(place / 'deploy.pub').read_text()}"
    (place / "authorized_keys").write_text(let_in)
    (place / "known_hosts").write_text(f"{HOST_ADDRESS} {(place / 'host_key.pub').read_text()}")
    (place / "sshd_config").write_text(_configuration(place, host))
    (place / "ssh_config").write_text("")
    with (
        _accounts_of_the_host(),
        _empty_directory(PRIVILEGE_SEPARATION),
        Background(
            "sshd",
            *("ip", "netns", "exec", HOST, server.program, "-D", "-e", "-f", place / "sshd_config"),
            log_path=place / "sshd.log",
            env={"LD_LIBRARY_PATH": str(server.libraries)},
            is_ready=_listens,
        ),
    ):
        yield DeployKey(
            (
                *("-F", str(place / "ssh_config"), "-i", str(place / "deploy"), "-o", "IdentitiesOnly=yes"),
                *("-o", f"UserKnownHostsFile={place / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"),
                *("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
            )
        )


def _documented_options(repository: Path, home: Path) -> str:
    """What stands before the key in the line of docs/operations.md, for this host's directory."""
    found = DOCUMENTED_LINE.search((repository / OPERATIONS_PAGE).read_text())
    if found is None:
        raise LookupError(f"{OPERATIONS_PAGE} tells no line for authorized_keys")
    return found[1].replace(DOCUMENTED_HOME, str(home))


def _configuration(place: Path, host: Host) -> str:
    """Debian's defaults, but for what belongs to this run: where files are, and what the host's environment is."""
    environment = " ".join(f'"{name}={value}"' for name, value in host.environment.items())
    return "\n".join(
        (
            f"ListenAddress {HOST_ADDRESS}:{PORT}",
            f"HostKey {place / 'host_key'}",
            f"AuthorizedKeysFile {place / 'authorized_keys'}",
            "StrictModes no",  # the directories above belong to a test run
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "Subsystem sftp internal-sftp",
            "PidFile none",
            f"SetEnv {environment}",
            "",
        )
    )


@contextmanager
def _accounts_of_the_host() -> Iterator[None]:
    """The machine's accounts with sshd's own; ``ip netns exec`` puts the files in place of the machine's."""
    passwd, shadow = NAMES_OF_THE_HOST / "passwd", NAMES_OF_THE_HOST / "shadow"
    accounts = Path("/etc/passwd").read_text()
    if "\nsshd:" not in accounts:
        accounts += SSHD_ACCOUNT
    passwd.write_text(accounts)
    shadow.touch(mode=0o600)
    shadow.write_text(NO_PASSWORDS)
    try:
        yield
    finally:
        passwd.unlink()
        shadow.unlink()


@contextmanager
def _empty_directory(path: Path) -> Iterator[None]:
    if path.exists():
        yield
        return
    path.mkdir(mode=0o755)
    try:
        yield
    finally:
        path.rmdir()


def _listens() -> bool:
    try:
        socket.create_connection((HOST_ADDRESS, PORT), 1).close()
    except OSError:
        return False
    return True
