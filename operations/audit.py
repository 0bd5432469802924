"""``wearon audit``: are the credits right (NFR-2.4)?"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from models.generation import Channel
from operations.connections import reports_of
from operations.errors import EXIT_DONE, EXIT_REFUSED
from operations.output import paint, show_json, show_lines
from operations.settings import PlatformSettings, read_settings
from operations.since import add_since
from operations.text import Paint, Tone, columns, counted, moment, safe
from services.platform.report_answers import LedgerFault
from services.platform.reports import AUDIT_TIMEOUT

DESCRIPTION: Final = """\
Are the credits right? Every session made since then, and every account, for which deducted is not completed plus given
back. Exit status 0 when there is none, 1 when there is one.
"""

EPILOG: Final = """\
rules:
  lost                    charged, and neither completed nor given back
  given_back_twice        more was given back than was charged
  completed_and_refunded  the person has both
  wrong_amount            given back in part, or too much
  wrong_account           given back to somebody else
  not_on_record           billing does not learn of it
PROOF says what a line rests on: the request's or the session's own lines in the ledger, or only the account's sums.

A charge that is just being made shows as lost until its session is inserted, and so does one at the very moment of
--since: ask twice before you act. It reads both ledgers whole; with a million lines ask in the SQL editor instead.

examples:
  wearon audit                      sessions of the last seven days
  wearon audit --since 2026-12-01
  wearon audit --since 24h --json || alert
"""

DEFAULT_SINCE: Final = "7d"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_since(parser, DEFAULT_SINCE)
    parser.add_argument("--json", action="store_true", help="as a JSON object, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    with reports_of(read_settings(PlatformSettings), AUDIT_TIMEOUT) as reports:
        faults = reports.ledger_faults(options.since)
    if options.json:
        show_json({"since": options.since, "is_right": not faults, "faults": faults})
    else:
        show_lines(screen(faults, options.since, paint()))
    return EXIT_REFUSED if faults else EXIT_DONE


def screen(faults: Sequence[LedgerFault], since: datetime, paint: Paint) -> Iterator[str]:
    """The lines [pure]."""
    if not faults:
        yield paint(f"The credits are right: of all sessions since {moment(since)}, none breaks the rule.", Tone.GOOD)
        return
    head, *lines = columns(
        [("RULE", "CHANNEL", "SESSION OR OWNER", "PROOF", "FAULT"), *(cells_of(fault) for fault in faults)]
    )
    yield paint(head, Tone.HEADING)
    yield from lines
    yield ""
    words = f"The credits are not right: {counted(len(faults), 'fault')} since {moment(since)}."
    yield paint(f"{words} `wearon session ID` tells a session's story.", Tone.BAD)


def cells_of(fault: LedgerFault) -> tuple[str, ...]:
    """A fault's line [pure]."""
    owner = f"{'store' if fault.channel is Channel.B2B else 'user'} {fault.owner_id}"
    if fault.shopper_email:
        owner += f", shopper {safe(fault.shopper_email)}"
    who = owner if fault.session_id is None else str(fault.session_id)
    return fault.rule, str(fault.channel), who, fault.proof, safe(fault.fault)
