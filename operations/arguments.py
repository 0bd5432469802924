"""Arguments that several commands share."""

import argparse
from uuid import UUID


def add_session(parser: argparse.ArgumentParser) -> None:
    """The session in question."""
    parser.add_argument(
        "session", type=session_id, metavar="SESSION", help="its id, as in the row and on every line of the log"
    )


def session_id(text: str) -> UUID:
    """The id.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return UUID(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no session id; one looks like {UUID(int=0)}") from None
