"""What a run says at its end: the last line, and a file about everything that must not be."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from proofs.chaos.audit import Audit, Rule, Violation
from proofs.chaos.evidence import Evidence


def last_line(audit: Audit, *, kills: int, redis_restarts: int, seed: int) -> str:
    """The figures of a run; everything after ``lost_by_platform`` up to ``provider_calls`` must be zero."""
    figures = audit.figures
    fields = {
        "sessions": figures.sessions,
        "completed": figures.completed,
        "failed": figures.failed,
        "refunded": figures.refunded,
        "lost_by_platform": figures.lost_by_platform,
        **{rule.value: audit.count(rule) for rule in Rule},
        "provider_calls": figures.provider_calls,
        "kills": kills,
        "redis_restarts": redis_restarts,
        "seed": seed,
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def call_summary(evidence: Evidence, *, limit: int, unattributed: int) -> str:
    """How often the provider was asked for one session."""
    calls = [session.provider_calls for session in evidence.sessions]
    none, one = calls.count(0), calls.count(1)
    return (
        f"provider calls per session: none {none}, one {one}, more {len(calls) - none - one}, "
        f"most {max(calls, default=0)} of {limit} allowed; "
        f"{unattributed} broke off before they could be told apart; "
        f"most in 60 s {evidence.peak_requests_per_minute}"
    )


def write_report(path: Path, *, head: Sequence[str], violations: Sequence[Violation], logs: Mapping[str, Path]) -> None:
    """Every violation, each with what the workers logged about its sessions.

    Args:
        path: where to write.
        head: the figures and what was done to whom, first.
        violations: what must not be.
        logs: the workers' log files by the workers' names.
    """
    lines = list(head)
    for violation in violations:
        lines += ["", f"{violation.rule}: {violation.subject}: {violation.what}"]
        lines += _lines_about(violation.session_ids, logs)
    path.write_text("\n".join(lines) + "\n")


def _lines_about(session_ids: Iterable[UUID], logs: Mapping[str, Path]) -> list[str]:
    wanted = {str(session_id) for session_id in session_ids}
    found = [
        (str(entry.get("timestamp", "")), f"  {name} {json.dumps(entry)}")
        for name, log in logs.items()
        for entry in _entries(log)
        if entry.get("session_id") in wanted or not wanted.isdisjoint(entry.get("session_ids") or ())
    ]
    return [line for _, line in sorted(found)]


def _entries(log: Path) -> Iterator[dict[str, Any]]:
    """The log's lines; one that a kill cut in half is passed over."""
    if not log.exists():
        return
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
