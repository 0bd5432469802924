"""``wearon replay``: puts a session's task back into the queue, if it may run again."""

import argparse
from typing import Final

from operations.arguments import add_session
from operations.connections import redis_of, reports_of
from operations.dead_letters import fetch, put_back
from operations.errors import EXIT_DONE, OperatorError
from operations.output import show_json
from operations.replay_rules import MayNot, judge
from operations.search import find
from operations.settings import SessionSettings, read_settings
from services.queue.task_queue import TaskQueue

DESCRIPTION: Final = """\
Run a session's task again, if it may run again: the session is open, its charge stands, nobody has it, and its task
lies in a dead letter. Everything else is refused with the reason, because it would cost a picture that nobody pays for,
or a worker has it anyway. A settled session never runs again.
"""

EPILOG: Final = """\
The worker looks again when it takes the task: if recovery has settled the session by then, it drops the task. So a
replay at the wrong moment does nothing, and two at once put the task back once.

examples:
  wearon replay 0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02
  wearon session 0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02     says whether it may, and changes nothing
  wearon dead-letters replay 3fa9                         the letter as it is, whatever it is

Exit status 1 when it may not run again.
"""

DROPPED_IF_SETTLED: Final = "If its session is settled before a worker takes it, the worker drops it."


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_session(parser)
    parser.add_argument("--json", action="store_true", help="as a JSON object, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    settings = read_settings(SessionSettings)
    with reports_of(settings) as reports:
        story = reports.story(options.session)
    with redis_of(settings) as client:
        queue = TaskQueue(client)
        verdict = judge(story, find(queue, options.session))
        if isinstance(verdict, MayNot):
            raise OperatorError(f"Not replayed. {verdict.why}")
        put_back(queue, *fetch(queue, verdict.letter))
    if options.json:
        show_json({"replayed": options.session, "letter": verdict.letter.letter_id})
    else:
        print(f"Replayed: the task is taken next, dead letter {verdict.letter.letter_id} is gone. {DROPPED_IF_SETTLED}")
    return EXIT_DONE
