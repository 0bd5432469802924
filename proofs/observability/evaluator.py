"""The evaluator of ours at work: asks a real Prometheus in the shipped intervals and posts to the bridge (ADR 0132).

``python -m proofs.observability.evaluator --prometheus http://127.0.0.1:9090 --webhook http://127.0.0.1:8085/grafana``
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import yaml

from proofs.observability.alerting import Alerting
from proofs.observability.messages import body, signature
from proofs.observability.notifying import Message
from proofs.observability.provisioned import Provisioned, ProvisionedRule, read
from proofs.observability.states import Answer, Value

SHIPPED_FILES: Final = Path(__file__).resolve().parents[2] / "monitoring" / "grafana" / "provisioning" / "alerting"

TICK: Final = timedelta(seconds=1)
"""How often it looks at what is due; Grafana's own timers are finer, so it is never quicker than Grafana."""

TIMEOUT_SECONDS: Final = 30.0
"""Of a question to Prometheus and of a post, as Grafana's defaults."""

SECRET_VARIABLE: Final = "WHATSAPP_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
WHATSAPP_RECEIVER: Final = "whatsapp"


class Clock(Protocol):
    """The time by which rules are evaluated and messages are due; a test may run it faster than the world's."""

    def now(self) -> datetime:
        """This moment."""

    def sleep(self, span: timedelta) -> None:
        """Let a span pass."""


class WorldClock:
    """The world's own."""

    def now(self) -> datetime:
        """This moment."""
        return datetime.now(UTC)

    def sleep(self, span: timedelta) -> None:
        """Let a span pass."""
        time.sleep(span.total_seconds())


@dataclass(slots=True)
class MadeUpClock:
    """One that passes as soon as somebody waits: hours of evaluations in seconds."""

    moment: datetime

    def now(self) -> datetime:
        """This moment."""
        return self.moment

    def sleep(self, span: timedelta) -> None:
        """Let a span pass at once."""
        self.moment += span


@dataclass(frozen=True, slots=True)
class Posted:
    """One message that was handed over, or would have been.

    Attributes:
        receiver: the contact point.
        at: when, by the evaluator's clock.
        alerts: titles and states of what it told.
        taken: whether the receiver took it; ``None`` where nothing was sent, as to e-mail.
    """

    receiver: str
    at: datetime
    alerts: Sequence[tuple[str, str]]
    taken: bool | None


class NotTaken(Exception):
    """The bridge refused a message, or did not answer."""


@dataclass(slots=True)
class Evaluator:
    """The evaluator of ours.

    Attributes:
        files: the folder of the provisioned files.
        prometheus_url: the base URL of a real Prometheus.
        webhook_url: where the contact point ``whatsapp`` posts, in the place of the address in the file.
        secret: of the signature.
        clock: by which it works; signatures are always made with the world's, by which the bridge judges them.
        external_url: of Grafana, in messages; the bridge takes the host's name from it.
        extra_labels: put on every alert.
        phase: when, within an interval, rules are evaluated first.
        only: the rules that are evaluated, by uid; all of them when it is ``None``.
        posted: what happened to every message so far.
    """

    files: Path
    prometheus_url: str
    webhook_url: str
    secret: str = field(repr=False)
    clock: Clock = field(default_factory=WorldClock)
    external_url: str = "https://worker.example.com/grafana/"
    extra_labels: Mapping[str, str] = field(default_factory=dict)
    phase: timedelta = timedelta(0)
    only: frozenset[str] | None = None
    posted: list[Posted] = field(default_factory=list, init=False)

    def run(self, until: datetime, *, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Evaluate and notify until a moment of the clock, or until it is told to stop."""
        provisioned = load(self.files)
        alerting = Alerting(provisioned, self.extra_labels)
        asked = self.clock.now() + self.phase
        next_asked = {rule.uid: asked for rule in self._rules(provisioned)}
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            while (now := self.clock.now()) < until and not is_stopped():
                for rule in self._rules(provisioned):
                    if now >= next_asked[rule.uid]:
                        next_asked[rule.uid] += rule.interval
                        alerting.evaluated(rule, self._ask(client, rule, now), now)
                for message in alerting.notifier.due(now):
                    self._deliver(client, alerting, message)
                self.clock.sleep(TICK)

    def _rules(self, provisioned: Provisioned) -> list[ProvisionedRule]:
        """Those that ask Prometheus: there is no Loki where it works."""
        return [
            rule
            for rule in provisioned.rules
            if rule.datasource_uid == "prometheus" and (self.only is None or rule.uid in self.only)
        ]

    def _ask(self, client: httpx.Client, rule: ProvisionedRule, now: datetime) -> Answer:
        try:
            answer = client.get(
                f"{self.prometheus_url}/api/v1/query", params={"query": rule.expression, "time": now.timestamp()}
            )
            return values(answer.raise_for_status().json())
        except (httpx.HTTPError, ValueError, KeyError):
            return None

    def _deliver(self, client: httpx.Client, alerting: Alerting, message: Message) -> None:
        now = self.clock.now()
        told = [(alert.labels["alertname"], "firing" if alert.ends is None else "resolved") for alert in message.alerts]
        try:
            taken = self._post(client, message) if message.receiver == WHATSAPP_RECEIVER else None
        except NotTaken:
            taken = False
        else:
            alerting.notifier.delivered(message, now)
        self.posted.append(Posted(message.receiver, now, told, taken))

    def _post(self, client: httpx.Client, message: Message) -> bool:
        content = body(
            receiver=message.receiver,
            alerts=message.alerts,
            group_labels=message.group.labels,
            key=message.group.key,
            external_url=self.external_url,
        )
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Grafana-Alerting-Timestamp": timestamp,
            "X-Grafana-Alerting-Signature": signature(self.secret, timestamp, content),
        }
        try:
            answer = client.post(self.webhook_url, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise NotTaken(str(error)) from error
        if not answer.is_success:
            raise NotTaken(f"HTTP {answer.status_code}")
        return True


class EvaluatorThread:
    """An evaluator that works beside a test; ``with`` starts and stops it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="evaluator", daemon=True)

    def _work(self) -> None:
        self.evaluator.run(datetime.max.replace(tzinfo=UTC), is_stopped=self._stopped.is_set)

    def __enter__(self) -> "EvaluatorThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


def load(folder: Path) -> Provisioned:
    """The four files of a folder."""
    return read({path.name: yaml.load(path.read_bytes(), yaml.CSafeLoader) for path in folder.glob("*.yml")})


def values(answer: Mapping[str, Any]) -> list[Value]:
    """What Prometheus answered to an instant query. Raises ``KeyError`` and ``ValueError`` for anything else."""
    return [
        Value(tuple(sorted(series["metric"].items())), float(series["value"][1])) for series in answer["data"]["result"]
    ]


def main(arguments: Sequence[str]) -> int:
    """Run until it is interrupted, and say what it posts."""
    parser = argparse.ArgumentParser(prog="python -m proofs.observability.evaluator", description=__doc__)
    parser.add_argument("--files", type=Path, default=SHIPPED_FILES, help="provisioned files (default: the shipped)")
    parser.add_argument("--prometheus", required=True, help="base URL of Prometheus")
    parser.add_argument("--webhook", required=True, help="URL of the bridge, with /grafana")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after that long")
    options = parser.parse_args(arguments)
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        print(f"{SECRET_VARIABLE} is missing: the bridge takes no message without a signature", file=sys.stderr)
        return 78
    evaluator = Evaluator(options.files, options.prometheus.rstrip("/"), options.webhook, secret)
    print("the evaluator of ours works; it is not Grafana")
    ends = time.monotonic() + options.minutes * 60
    with EvaluatorThread(evaluator):
        shown = 0
        while time.monotonic() < ends:
            time.sleep(TICK.total_seconds())
            for message in evaluator.posted[shown:]:
                told = ", ".join(f"{title} ({state})" for title, state in message.alerts)
                print(f"{message.at:%H:%M:%S} to {message.receiver}, taken: {message.taken}: {told}", flush=True)
            shown = len(evaluator.posted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
