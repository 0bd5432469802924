"""What the main process does with its Celery child: hands it the settings, reads what it prints, waits for its end."""

import subprocess

import structlog

from config.settings import Settings, pack

log = structlog.get_logger()


def hand_over(child: "subprocess.Popen[bytes]", settings: Settings) -> None:
    """Send the child our settings. If it read them itself, an edited ``.env`` would give the two different ones."""
    if child.stdin is None:
        return
    try:
        with child.stdin as stdin:
            stdin.write(pack(settings))
    except OSError as error:
        log.warning("settings_not_handed_over", reason=type(error).__name__)  # the child is gone; state() reports it


def log_stderr(child: "subprocess.Popen[bytes]") -> None:
    """Turn what Celery or a crashing interpreter prints into JSON log lines."""
    if child.stderr is None:
        return
    for line in child.stderr:
        if text := line.decode(errors="replace").strip():
            log.warning("celery_stderr", text=text)


def exits_within(child: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Whether the child ends within this time, or has ended already."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
