"""Log lines as they are really written: every event of the code, through the set-up of the process that logs it."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.tracked import REPOSITORY
from worker.samples import REFUND_KINDS

WORKER: Final = ("main.py", "config", "services", "size_rec", "web", "worker")
BRIDGE: Final = ("monitoring/whatsapp_bridge",)
LEVELS: Final = {"debug", "info", "warning", "error", "critical", "exception"}
VALUES: Final[Mapping[str, Sequence[str]]] = {"refund": REFUND_KINDS}
"""Of fields whose values an operator looks for; any other has one that says nothing."""

RENDER: Final = """
import json, sys
import structlog
{set_up}
log = structlog.get_logger()
for level, event, fields in json.load(sys.stdin):
    getattr(log, level)(event, **fields)
"""
OF_THE_WORKER: Final = "from config.logging_config import configure_logging; configure_logging('DEBUG')"
OF_THE_BRIDGE: Final = "from monitoring.whatsapp_bridge import logs; logs.configure(())"

NGINX_LOG: Final = REPOSITORY / "nginx" / "snippets" / "logging.conf"
OF_A_REQUEST: Final = {
    "logged_status": "502",
    "bytes_sent": "0",
    "request_time": "0.004",
    "upstream_addr": "172.18.0.4:8000",
}


@dataclass(frozen=True)
class Logged:
    """One call of a logger in the code."""

    level: str
    event: str
    fields: tuple[str, ...] = field(default=())


def logged_in(source: str) -> Iterator[Logged]:
    """Every call of ``log`` with what it says; an event that is not written out there is left out."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                args=[ast.Constant(value=str(event)), *_],
                keywords=keywords,
            ) if level in LEVELS:
                yield Logged(level, event, tuple(keyword.arg for keyword in keywords if keyword.arg))


def lines_of_the_worker() -> list[str]:
    """As ``docker compose logs --no-log-prefix worker`` shows them."""
    return _rendered(OF_THE_WORKER, WORKER)


def lines_of_the_bridge() -> list[str]:
    """As ``docker compose logs --no-log-prefix grafana-whatsapp-webhook`` shows them."""
    return _rendered(OF_THE_BRIDGE, BRIDGE)


def line_of_nginx() -> str:
    """A request that failed, in the form of its access log."""
    parts = re.search(r"log_format requests escape=json(.*?);\n", NGINX_LOG.read_text(), re.DOTALL)
    assert parts
    form = "".join(re.findall(r"'([^']*)'", parts[1]))
    return re.sub(r"\$(\w+)", lambda name: OF_A_REQUEST.get(name[1], "x"), form)


def _rendered(set_up: str, places: Sequence[str]) -> list[str]:
    calls = [call for file in _files(places) for call in logged_in(file.read_text(encoding="utf-8"))]
    lines = [[call.level, call.event, fields] for call in dict.fromkeys(calls) for fields in _filled_in(call.fields)]
    done = subprocess.run(
        [sys.executable, "-c", RENDER.format(set_up=set_up)],
        input=json.dumps(lines),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def _files(places: Sequence[str]) -> Iterator[Path]:
    for place in places:
        path = REPOSITORY / place
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _filled_in(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    fields = dict.fromkeys((name for name in names if name != "exc_info"), "x")
    yield fields
    for name in fields.keys() & VALUES.keys():
        for value in VALUES[name]:
            yield fields | {name: value}
