"""``wearon session``: the whole story of one session, in one screen."""

import argparse
from typing import Any, Final
from uuid import UUID

from operations.arguments import add_session
from operations.connections import redis_of, reports_of
from operations.dead_letters_view import summary
from operations.errors import EXIT_DONE, EXIT_REFUSED, EXIT_UNAVAILABLE, Unreachable
from operations.output import paint, show_json, show_lines
from operations.replay_rules import MayNot, MayRun, judge
from operations.search import find
from operations.session_view import FoundSession, log_hint, screen
from operations.settings import SessionSettings, read_settings
from services.queue.task_queue import TaskQueue

DESCRIPTION: Final = """\
The whole story of one session: its row, who runs or ran it, what was charged and given back, where its task is, its
dead letter, whether it may run again, and how to see its log lines.
"""

EPILOG: Final = """\
what the lines mean:
  row        what the person sees; times are UTC
  ledger     the platform's lines of its request (b2b), or the refunds that name it (b2c: deductions name nobody)
  refund     the worker's own record; unproven_charge: the ledger does not tell who paid, billing finds out
  run        who holds it; a session whose worker died is run twice in all
  task       where its task is in Redis; one that is settled has none
  replay     whether `wearon replay` would put it back, or why not

examples:
  wearon session 0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02
  wearon session 0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02 --json | jq .story.claims

Exit status 1 when nobody knows the session, 69 when Redis did not answer (the rest is shown).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_session(parser)
    parser.add_argument("--json", action="store_true", help="as a JSON object, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    found = look(options.session, read_settings(SessionSettings))
    if options.json:
        show_json(for_programs(found))
    else:
        show_lines(screen(found, paint()))
    if found.places is None:
        return EXIT_UNAVAILABLE
    return EXIT_DONE if found.is_known else EXIT_REFUSED


def look(session_id: UUID, settings: SessionSettings) -> FoundSession:
    """Ask the database, then look into Redis; without Redis the rest is still worth showing.

    Raises:
        Unreachable: the database does not answer.
    """
    with reports_of(settings) as reports:
        story = reports.story(session_id)
    try:
        with redis_of(settings) as client:
            places = find(TaskQueue(client), session_id)
    except Unreachable as error:
        return FoundSession(session_id, story, places=None, verdict=None, silent=str(error))
    return FoundSession(session_id, story, places=places, verdict=judge(story, places))


def for_programs(found: FoundSession) -> dict[str, Any]:
    """What --json shows [pure]."""
    places, verdict = found.places, found.verdict
    task = (
        None
        if places is None
        else {
            "is_waiting": places.is_waiting,
            "in_flight": places.in_flight,
            "dead_letters": [summary(letter) for letter in places.letters],
            "is_complete": places.is_complete,
        }
    )
    return {
        "session": found.session_id,
        "story": found.story,
        "task": task,
        "may_replay": isinstance(verdict, MayRun),
        "why_not": verdict.why if isinstance(verdict, MayNot) else None,
        "log": log_hint(found.session_id),
        "silent": {"redis": found.silent} if found.silent else {},
    }
