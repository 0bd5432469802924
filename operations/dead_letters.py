"""``wearon dead-letters``: shows dead letters, puts them back into the queue or drops them. Needs only REDIS_URL."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from operations.connections import redis_of
from operations.dead_letters_view import counted, readable_beginning, readable_element, summary, table
from operations.errors import EXIT_DONE, OperatorError
from operations.settings import QueueSettings, read_settings
from services.queue.task_queue import PIECE_BYTES, TaskQueue, set_aside_key
from worker.dead_letters import DeadLetter
from worker.elements import MAX_ELEMENT_BYTES, Rejected, read_element

LIMIT_KIB: Final = MAX_ELEMENT_BYTES // 1024

DESCRIPTION: Final = f"""\
Dead letters are elements of the platform's queue that the worker could not run: no JSON, wrong fields, too large, a
newer version, a session that does not exist. The worker keeps each one whole, with the reason and the time. Where it
could tell the session, it has failed and refunded it already. One too large to be read (over {LIMIT_KIB} KiB) stays in
Redis under a key of its own; no command here reads it whole into memory either.
"""

EPILOG: Final = """\
examples:
  wearon dead-letters list                 what lies there, newest first
  wearon dead-letters show 3fa9            one letter, signed URLs without their signature
  wearon dead-letters show 3fa9 --raw      its element byte by byte, secrets included, of any size
  wearon dead-letters replay 3fa9 b07c     put two back into the queue, to be taken next
  wearon dead-letters replay --all --yes   put all back without being asked
  wearon dead-letters discard 3fa9         drop one for good

An ID may be shortened as long as it stays unique. `wearon replay SESSION` puts back only what may run again.
REDIS_URL comes from the environment or from .env, as for the worker; no other setting is needed.
"""

SHOWN_HEAD_BYTES: Final = 256 * 1024
"""Of an element too large to be read: more than is shown even of characters of 4 bytes, so that what is cut off in the
middle of a signature is not on the screen."""

RUNS_IF_OPEN: Final = (
    "If its session is completed or failed by now (a session the worker could tell was failed and refunded when the "
    "element was buried; recovery does the same to one without a task), the worker drops the task: no picture, no "
    "second refund. If the session is still open, the task runs. Which of the two, `wearon session` tells."
)

BURIED_AGAIN: Final = "A worker of this version will bury it again: {detail}."

NOT_THERE: Final = "{letter_id} is not there any more."
ELEMENT_GONE: Final = "The element of {letter_id} is not in Redis any more."

Action = Callable[[TaskQueue, argparse.Namespace], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Action, help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        added.set_defaults(action=run)
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
    replaying.add_argument("--json", action="store_true", help="one JSON object a line for each, for programs")

    discarding = command("discard", discard_letters, "Drop dead letters for good.")
    discarding.add_argument("ids", metavar="ID", nargs="+")
    discarding.add_argument("--json", action="store_true", help="one JSON object a line for each, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    action: Action = options.action
    with redis_of(read_settings(QueueSettings)) as client:
        action(TaskQueue(client), options)
    return EXIT_DONE


def list_letters(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``list``."""
    found = read_letters(queue)
    if options.json:
        print(json.dumps([summary(letter) for letter in found], indent=2))
        return
    if not found:
        print("There are no dead letters.")
        return
    print(table(found))


def show_letter(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``show``."""
    letter, _ = fetch(queue, pick(read_letters(queue), options.id))
    if options.raw:
        for piece in pieces(queue, letter):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    if options.json:
        print(json.dumps({**summary(letter), "element": readable(queue, letter)}, indent=2))
        return
    for name, value in summary(letter).items():
        print(f"{name + ':':<13} {', '.join(value) if isinstance(value, list) else value}")
    print(f"{'on replay:':<13} {outlook(letter)}\n\n{readable(queue, letter)}")


def replay_letters(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``replay``."""
    if bool(options.ids) == options.all:
        raise OperatorError("Say which: one or more IDs, or --all.")
    found = read_letters(queue)
    chosen = found if options.all else [pick(found, given) for given in dict.fromkeys(options.ids)]
    if not chosen:
        if not options.json:
            print("There are no dead letters.")
        return
    if options.all and not options.yes:
        print(table(chosen))
        confirm(f"Put {counted(chosen)} back into the queue?")
    # Each goes in front of the one before, so the oldest, which comes last, is taken first.
    for one in newest_first(chosen, found):
        letter, stored = fetch(queue, one)
        put_back(queue, letter, stored)
        if options.json:
            print(json.dumps({"replayed": letter.letter_id, "outlook": outlook(letter)}))
        else:
            print(f"replayed {letter.letter_id}. {outlook(letter)}")


def discard_letters(queue: TaskQueue, options: argparse.Namespace) -> None:
    """``discard``."""
    found = read_letters(queue)
    for one in [pick(found, given) for given in dict.fromkeys(options.ids)]:
        letter, stored = fetch(queue, one)
        queue.discard(stored, letter.element_key)
        print(json.dumps({"discarded": letter.letter_id}) if options.json else f"discarded {letter.letter_id}")


def put_back(queue: TaskQueue, letter: DeadLetter, stored: bytes) -> None:
    """Put a letter's element into the queue, to be taken next, and drop the letter.

    Raises:
        OperatorError: the letter or its element is gone, and nothing was done.
    """
    if letter.element is not None:
        if not queue.replay(stored, letter.element):
            raise OperatorError(NOT_THERE.format(letter_id=letter.letter_id))
    elif not queue.replay_set_aside(stored, set_aside_key(letter.letter_id)):
        raise OperatorError(ELEMENT_GONE.format(letter_id=letter.letter_id))


def read_letters(queue: TaskQueue) -> list[DeadLetter]:
    """All dead letters, newest first, without their elements.

    What is none is counted on standard error and left alone.
    """
    found: list[DeadLetter] = []
    unreadable = 0
    for stored in queue.dead_letters():
        try:
            found.append(replace(DeadLetter.decode(stored), text=None, base64=None))
        except (ValueError, TypeError, KeyError):
            unreadable += 1
    if unreadable:
        print(f"{unreadable} more cannot be read; a newer worker may have written them.", file=sys.stderr)
    return found[::-1]


def fetch(queue: TaskQueue, listed: DeadLetter) -> tuple[DeadLetter, bytes]:
    """A listed letter with its element, and the very bytes it is stored as, by which Redis finds it.

    Raises:
        OperatorError: somebody else was quicker.
    """
    stored = queue.dead_letter(DeadLetter.opening(listed.letter_id))
    if stored is None:
        raise OperatorError(NOT_THERE.format(letter_id=listed.letter_id))
    return DeadLetter.decode(stored), stored


def pieces(queue: TaskQueue, letter: DeadLetter) -> Iterator[bytes]:
    """A letter's element byte by byte, a bounded number at a time.

    Raises:
        OperatorError: it is gone, or went while it was read.
    """
    if letter.element is not None:
        yield letter.element
        return
    for start in range(0, letter.size_bytes, PIECE_BYTES):
        piece = queue.read_set_aside(set_aside_key(letter.letter_id), start=start)
        if piece is None:
            raise OperatorError(ELEMENT_GONE.format(letter_id=letter.letter_id))
        yield piece


def readable(queue: TaskQueue, letter: DeadLetter) -> str:
    """A letter's element for the screen; of one too large to be read its beginning.

    Raises:
        OperatorError: it is gone.
    """
    if letter.element is not None:
        return readable_element(letter.element)
    head = queue.read_set_aside(set_aside_key(letter.letter_id), size_bytes=SHOWN_HEAD_BYTES)
    if head is None:
        raise OperatorError(ELEMENT_GONE.format(letter_id=letter.letter_id))
    return readable_beginning(head, letter.size_bytes)


def pick(found: Iterable[DeadLetter], given: str) -> DeadLetter:
    """The one letter whose ID begins as given.

    Raises:
        OperatorError: there is none, or more than one.
    """
    matching = {letter.letter_id: letter for letter in found if letter.letter_id.startswith(given.lower())}
    match list(matching.values()):
        case [one] if given:
            return one
        case []:
            raise OperatorError(f"No dead letter has an ID that begins with {given!r}. `list` shows them all.")
        case several:
            raise OperatorError(f"{counted(several)} have an ID that begins with {given!r}: {', '.join(matching)}.")


def newest_first(chosen: Sequence[DeadLetter], found: Sequence[DeadLetter]) -> list[DeadLetter]:
    """``chosen`` without repetitions, in the order of ``found``."""
    ids = {letter.letter_id for letter in chosen}
    return [letter for letter in found if letter.letter_id in ids]


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
    if letter.element is None:
        return BURIED_AGAIN.format(detail=letter.detail) if letter.size_bytes > MAX_ELEMENT_BYTES else RUNS_IF_OPEN
    decision = read_element(letter.element)
    return BURIED_AGAIN.format(detail=decision.detail) if isinstance(decision, Rejected) else RUNS_IF_OPEN
