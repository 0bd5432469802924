"""Shows dead letters to an operator, and puts them back into the queue or drops them.

``python -m scripts.dead_letters --help`` explains itself. Of the worker's settings it needs only REDIS_URL.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings

from config.logging_config import REDACTED, Redactor
from config.settings import RedisUrl, Settings
from services.redis_client import connect
from services.task_queue import TaskQueue
from worker.dead_letters import DeadLetter
from worker.intake import Rejected, read_element

DESCRIPTION: Final = """\
Dead letters are elements of the platform's queue that the worker could not run: no JSON, wrong fields, too large, a
newer version, a session that does not exist. The worker keeps each one whole, with the reason and the time. Where it
could tell the session, it has failed and refunded it already.
"""

EPILOG: Final = """\
examples:
  python -m scripts.dead_letters list                 what lies there, newest first
  python -m scripts.dead_letters show 3fa9            one letter, signed URLs without their signature
  python -m scripts.dead_letters replay 3fa9 b07c     put two back into the queue, to be taken next
  python -m scripts.dead_letters replay --all --yes   put all back without being asked
  python -m scripts.dead_letters discard 3fa9         drop one for good

An ID may be shortened as long as it stays unique. In a container:
  docker compose exec worker python -m scripts.dead_letters list
REDIS_URL comes from the environment or from .env, as for the worker; no other setting is needed.
"""

EXIT_DONE: Final = 0
EXIT_REFUSED: Final = 1
EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE (sysexits.h)."""
EXIT_MISCONFIGURED: Final = 78
"""EX_CONFIG (sysexits.h)."""

LONGEST_CELL_CHARS: Final = 60
"""Of a column in the table; ``show`` has the whole."""

LONGEST_SHOWN_CHARS: Final = 20_000
"""Of an element on the screen; ``show --raw`` has the whole."""

ANY_QUERY: Final = re.compile(r"(?i)(?:\?|\\u003f|%3f)[^\s\"'<>]+")
"""What may be the query of a signed URL, even in broken JSON: here it is better to hide too much."""

RUNS_IF_OPEN: Final = (
    "If its session is completed or failed by now (a session the worker could tell was failed and refunded when the "
    "element was buried; recovery does the same to one without a task), the worker drops the task: no picture, no "
    "second refund. If the session is still open, the task runs. Which of the two, only the database knows."
)

BURIED_AGAIN: Final = "A worker of this version will bury it again: {detail}."


class QueueSettings(BaseSettings):
    """The one setting that is needed here, read from where the worker reads it."""

    model_config = Settings.model_config

    redis_url: RedisUrl = Field(repr=False)


class OperatorError(Exception):
    """What was asked for cannot be done; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A dead letter and the very bytes it is stored as, by which Redis finds it."""

    letter: DeadLetter
    stored: bytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        url = QueueSettings().redis_url
    except ValidationError:
        print(
            "REDIS_URL is missing or malformed. Set it in the environment or in .env, for example"
            " redis://:password@host:6379/0, or rediss:// for TLS.",
            file=sys.stderr,
        )
        return EXIT_MISCONFIGURED
    try:
        options.command(TaskQueue(connect(url)), options)
    except OperatorError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    except redis.RedisError as error:
        print(
            f"Redis at {urlsplit(url).hostname} does not answer ({type(error).__name__})."
            " Check REDIS_URL; then `list` shows what has been done.",
            file=sys.stderr,
        )
        return EXIT_UNAVAILABLE
    return EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m scripts.dead_letters",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[TaskQueue, argparse.Namespace], None], help_text: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        added.set_defaults(command=run)
        return added

    listing = command("list", list_letters, "List all dead letters, newest first.")
    listing.add_argument("--json", action="store_true", help="as a JSON array, for programs")

    showing = command("show", show_letter, "Show one dead letter, its element without signatures and secrets.")
    showing.add_argument("id", metavar="ID")
    form = showing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as a JSON object, for programs")
    form.add_argument(
        "--raw", action="store_true", help="only the element, byte by byte as it was in the queue, secrets included"
    )

    replaying = command(
        "replay", replay_letters, "Put elements back into the queue, to be taken next, and drop their letters."
    )
    replaying.add_argument("ids", metavar="ID", nargs="*")
    replaying.add_argument("--all", action="store_true", help="every dead letter; asks first")
    replaying.add_argument("--yes", action="store_true", help="do not ask")

    discarding = command("discard", discard_letters, "Drop dead letters for good.")
    discarding.add_argument("ids", metavar="ID", nargs="+")
    return top


def list_letters(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``list``."""
    found = read_letters(queue)
    if options.json:
        print(json.dumps([summary(one.letter) for one in found], indent=2))
        return
    if not found:
        print("There are no dead letters.")
        return
    print(table([one.letter for one in found]))


def show_letter(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``show``."""
    letter = pick(read_letters(queue), options.id).letter
    if options.raw:
        sys.stdout.buffer.write(letter.element)
        sys.stdout.buffer.flush()
        return
    if options.json:
        print(json.dumps({**summary(letter), "element": readable_element(letter.element)}, indent=2))
        return
    for name, value in summary(letter).items():
        print(f"{name + ':':<13} {', '.join(value) if isinstance(value, list) else value}")
    print(f"{'on replay:':<13} {outlook(letter)}\n\n{readable_element(letter.element)}")


def replay_letters(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``replay``."""
    if bool(options.ids) == options.all:
        raise OperatorError("Say which: one or more IDs, or --all.")
    found = read_letters(queue)
    chosen = found if options.all else [pick(found, given) for given in dict.fromkeys(options.ids)]
    if not chosen:
        print("There are no dead letters.")
        return
    if options.all and not options.yes:
        print(table([one.letter for one in chosen]))
        confirm(f"Put {counted(chosen)} back into the queue?")
    # Each goes in front of the one before, so the oldest, which comes last, is taken first.
    for one in newest_first(chosen, found):
        queue.replay(one.stored, one.letter.element)
        print(f"replayed {one.letter.letter_id}. {outlook(one.letter)}")


def discard_letters(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``discard``."""
    found = read_letters(queue)
    for one in [pick(found, given) for given in dict.fromkeys(options.ids)]:
        queue.discard(one.stored)
        print(f"discarded {one.letter.letter_id}")


def read_letters(queue: TaskQueue) -> list[Stored]:
    """All dead letters, newest first; what is none is counted on standard error and left alone."""
    found: list[Stored] = []
    unreadable = 0
    for stored in queue.dead_letters():
        try:
            found.append(Stored(DeadLetter.decode(stored), stored))
        except (ValueError, TypeError, KeyError):
            unreadable += 1
    if unreadable:
        print(f"{unreadable} more cannot be read; a newer worker may have written them.", file=sys.stderr)
    return found


def pick(found: Iterable[Stored], given: str) -> Stored:
    """The one letter whose ID begins as given.

    Raises:
        OperatorError: there is none, or more than one.
    """
    matching = {one.letter.letter_id: one for one in found if one.letter.letter_id.startswith(given.lower())}
    match list(matching.values()):
        case [one] if given:
            return one
        case []:
            raise OperatorError(f"No dead letter has an ID that begins with {given!r}. `list` shows them all.")
        case several:
            raise OperatorError(f"{counted(several)} have an ID that begins with {given!r}: {', '.join(matching)}.")


def newest_first(chosen: Sequence[Stored], found: Sequence[Stored]) -> list[Stored]:
    """``chosen`` without repetitions, in the order of ``found``."""
    ids = {one.letter.letter_id for one in chosen}
    return [one for one in found if one.letter.letter_id in ids]


def confirm(question: str) -> None:
    """Ask the person at the terminal.

    Raises:
        OperatorError: the answer is no, or there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise OperatorError(f"{question} Nobody can answer here; add --yes.")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise OperatorError("Nothing was done.")


def outlook(letter: DeadLetter) -> str:
    """What the worker will do with the element when it is in the queue again."""
    decision = read_element(letter.element)
    return BURIED_AGAIN.format(detail=decision.detail) if isinstance(decision, Rejected) else RUNS_IF_OPEN


def summary(letter: DeadLetter) -> dict[str, Any]:
    """All of a letter but the element, with nothing secret in it."""
    return {
        "id": letter.letter_id,
        "buried_at": letter.buried_at,
        "reason": letter.reason,
        "detail": safe(letter.detail),
        "session_ids": list(letter.session_ids),
        "request_id": None if letter.request_id is None else safe(letter.request_id),
        "size_bytes": letter.size_bytes,
    }


def readable_element(element: bytes) -> str:
    """An element for the screen: laid out when it is JSON, without signatures, secrets and control characters."""
    text = element.decode(errors="backslashreplace")
    try:
        text = json.dumps(redacted(json.loads(element)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = redacted_text(text)
    if len(text) > LONGEST_SHOWN_CHARS:
        text = f"{text[:LONGEST_SHOWN_CHARS]}\n... ({len(text)} characters; --raw shows the element whole)"
    return printable(text)


def redacted(value: Any) -> Any:
    """A JSON value without anything secret."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, dict):
        return {redacted_text(name): redacted(item) for name, item in value.items()}
    return value


def redacted_text(text: str) -> str:
    """A text without queries of URLs, credentials and keys."""
    return Redactor().clean_text(ANY_QUERY.sub(f"?{REDACTED}", text))


def printable(text: str) -> str:
    """A text that can do nothing to a terminal: control and direction characters are spelled out."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def safe(text: str) -> str:
    """One line without anything secret."""
    return printable(redacted_text(text)).replace("\n", "\\n")


def table(letters: Sequence[DeadLetter]) -> str:
    """The letters in columns, with a last line that counts them."""
    head = ("ID", "BURIED", "REASON", "BYTES", "SESSION", "REQUEST", "DETAIL")
    rows = [head, *(row(letter) for letter in letters)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    return "\n".join([*lines, "", f"{counted(letters)}."])


def row(letter: DeadLetter) -> tuple[str, ...]:
    """A letter's cells."""
    cells = (
        letter.letter_id,
        letter.buried_at,
        letter.reason,
        str(letter.size_bytes),
        ", ".join(letter.session_ids) or "-",
        letter.request_id or "-",
        letter.detail,
    )
    return tuple(shortened(safe(cell)) for cell in cells)


def shortened(text: str) -> str:
    """At most a cell's width."""
    return text if len(text) <= LONGEST_CELL_CHARS else f"{text[: LONGEST_CELL_CHARS - 3]}..."


def counted(things: Sequence[object]) -> str:
    """``1 dead letter``, ``2 dead letters``."""
    return f"{len(things)} dead letter{'' if len(things) == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main())
