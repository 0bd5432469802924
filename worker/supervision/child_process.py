"""What the main process does with its Celery child: hands it the settings, reads what it prints."""

import structlog

from config.settings import Settings, pack
from services.child_process import ChildProcess

log = structlog.get_logger()


def hand_over(child: ChildProcess, settings: Settings) -> None:
    """Send the child our settings. If it read them itself, an edited ``.env`` would give the two different ones."""
    if child.stdin is None:
        return
    try:
        with child.stdin as stdin:
            stdin.write(pack(settings))
    except OSError as error:
        log.warning("settings_not_handed_over", reason=type(error).__name__)  # the child is gone; state() reports it


def log_stderr(child: ChildProcess) -> None:
    """Turn what Celery or a crashing interpreter prints into JSON log lines."""
    if child.stderr is None:
        return
    for line in child.stderr:
        if text := line.decode(errors="replace").strip():
            log.warning("celery_stderr", text=text)
