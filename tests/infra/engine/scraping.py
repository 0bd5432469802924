"""The host's Prometheus as a person inside its network sees it."""

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tests.infra.engine.host import Host
from tests.infra.engine.waiting import wait_for

API: Final = "http://127.0.0.1:9090/api/v1"
SCRAPED_WITHIN_SECONDS: Final = 60.0
"""Four scrapes: a target that was just started is asked within one."""

LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """One address that Prometheus asks. ``health`` is ``up``, ``down``, or ``unknown`` before the first answer."""

    job: str
    instance: str
    health: str
    error: str


def targets(host: Host) -> list[Target]:
    """All that it has now."""
    active = _ask(host, "targets?state=active")["activeTargets"]
    return [
        Target(it["labels"]["job"], it["labels"]["instance"], it["health"], it.get("lastError", "")) for it in active
    ]


def query(host: Host, expression: str) -> dict[str, float]:
    """An instant query: values by their labels as text."""
    result = _ask(host, f"query?query={quote(expression)}")["result"]
    return {json.dumps(it["metric"], sort_keys=True): float(it["value"][1]) for it in result}


def value(host: Host, expression: str) -> float | None:
    """Of a query with one series; None without any."""
    found = list(query(host, expression).values())
    return found[0] if found else None


def wait_all_up(host: Host, *, seconds: float = SCRAPED_WITHIN_SECONDS) -> list[Target]:
    """Until every target is up. Raises ``TimeoutError``, which names those that are not."""

    def ill() -> list[Target]:
        return [target for target in targets(host) if target.health != "up"]

    try:
        wait_for("every target is up", lambda: not ill(), seconds=seconds, poll_seconds=LOOK_SECONDS)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {ill()}") from error
    return targets(host)


class TargetWatch:
    """Looks at the worker's targets again and again while the block around it runs."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="targets", daemon=True)
        self.most_up_at_once = 0
        self.down: Counter[str] = Counter()
        """Looks at which a target was down, by its job."""

    def __enter__(self) -> "TargetWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            seen = targets(self._host)
            up = sum(target.job == "worker" and target.health == "up" for target in seen)
            self.most_up_at_once = max(self.most_up_at_once, up)
            self.down.update(target.job for target in seen if target.health == "down")


def _ask(host: Host, path: str) -> Any:
    answer = host.docker("exec", host.container("prometheus"), "wget", "-q", "-O", "-", f"{API}/{path}")
    return json.loads(answer)["data"]
