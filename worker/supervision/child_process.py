"""What the main process does with its Celery child: hands it the settings, reads what it prints, waits for its end."""

import subprocess

import structlog

from config.settings import Settings, pack

log = structlog.get_logger()


def hand_over(child: "subprocess.Popen[bytes]", settings: Settings) -> None:
    """Give the child our settings; read anew, a ``.env`` edited meanwhile would put the two into different worlds."""
    if child.stdin is None:
        return
    try:
        with child.stdin as stdin:
            stdin.write(pack(settings))
    except OSError as error:
        log.warning("settings_not_handed_over", reason=type(error).__name__)  # the child is gone, as state() tells


def log_stderr(child: "subprocess.Popen[bytes]") -> None:
    """What Celery or a dying interpreter prints becomes a JSON line like everything else."""
    if child.stderr is None:
        return
    for line in child.stderr:
        if text := line.decode(errors="replace").strip():
            log.warning("celery_stderr", text=text)


def exits_within(child: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Whether the child is gone, or is so within this time."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
