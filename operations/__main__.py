"""``python -m operations``, which is ``wearon`` in the image: the operator's command line.

A command's module is imported when the command is chosen: a health check every ten seconds must not load a database
client. argparse and not click: click is here only because Celery brings it (docs/adr/0041).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, cast

from operations.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USAGE, OperatorError

PROGRAM: Final = "wearon"

DESCRIPTION: Final = """\
The operator's desk of the WearOn worker. It looks at the queue, the database and the worker, and puts back what may run
again. Looking takes no lock and changes nothing; only `replay` and `dead-letters replay|discard` write, to Redis.
"""

EPILOG: Final = """\
examples:
  wearon status                       is it well, how long is the queue, who works, how quick was the last hour
  wearon session 0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02
                                      the whole story of one session, in one screen
  wearon audit --since 7d             are the credits right? exit status 1 when they are not
  wearon status --json | jq .queue    for programs: every command has --json

`wearon COMMAND --help` explains a command, with examples. From the host: docker compose exec worker wearon status
In a working copy: bin/wearon, or .venv/bin/python -m operations. Settings come from the environment or .env, as for
the worker, and each command needs only those it uses. Exit status: 0 done, 1 no (not well, credits wrong, refused),
2 wrong usage, 69 something does not answer, 78 a setting is missing.
"""


class Command(Protocol):
    """What a command's module has."""

    DESCRIPTION: str
    EPILOG: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Carry it out; returns the exit status. Raises ``OperatorError`` with words for the person."""


class Entry(NamedTuple):  # no dataclass here: they load a tenth of what a health check costs
    """A command in the list: its name, its module in this package, and what it is for."""

    name: str
    module: str
    summary: str


COMMANDS: Final = (
    Entry("status", "status", "what the worker does now, and how the last hour was"),
    Entry("session", "session", "the whole story of one session, in one screen"),
    Entry("dead-letters", "dead_letters", "queue elements that could not be run: list, show, replay, discard"),
    Entry("replay", "replay", "run a session's task again, if it may run again"),
    Entry("audit", "audit", "are the credits right? exit status 1 when they are not"),
    Entry("cost", "cost", "what the pictures cost, by day"),
    Entry("health", "health", "for health checks: one line, exit status 0 or 1"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:
        parser(given).print_help()
        return EXIT_USAGE
    options = parser(given).parse_args(given)
    command: Command = options.command
    try:
        return command.run(options)
    except OperatorError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough: `wearon status | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The command line, with the arguments of the command that is among the given words."""
    top = argparse.ArgumentParser(
        prog=PROGRAM, description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    listed = top.add_subparsers(required=True, metavar="COMMAND")
    chosen = next((word for word in given if not word.startswith("-")), None)
    for entry in COMMANDS:
        if entry.name != chosen:
            listed.add_parser(entry.name, help=entry.summary)
            continue
        command = cast(Command, importlib.import_module(f"operations.{entry.module}"))
        added = listed.add_parser(
            entry.name,
            help=entry.summary,
            description=command.DESCRIPTION,
            epilog=command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command)
        command.configure(added)
    return top


if __name__ == "__main__":
    sys.exit(main())
