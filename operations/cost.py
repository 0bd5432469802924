"""``wearon cost``: what the pictures cost, by day."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from operations.connections import reports_of
from operations.errors import EXIT_DONE
from operations.output import paint, show_json, show_lines
from operations.settings import PlatformSettings, read_settings
from operations.since import add_since
from operations.text import Paint, Tone, columns, counted, moment
from services.platform.report_answers import DayCost

DESCRIPTION: Final = """\
What the completed pictures cost, by day (UTC) and channel, in US dollars: the sum of the estimates in the sessions'
rows, made from the tokens that the provider billed and the prices in models/image_models.py. Its bill decides.
"""

EPILOG: Final = """\
Not in it: pictures that were made and not delivered (a worker died, the credit had been given back), which stand in no
row. docs/costs.md says what one picture costs.

examples:
  wearon cost                       the last seven days
  wearon cost --since 2026-12-01
  wearon cost --since 30d --json | jq .estimated_cost_usd
"""

DEFAULT_SINCE: Final = "7d"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_since(parser, DEFAULT_SINCE)
    parser.add_argument("--json", action="store_true", help="as a JSON object, for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out."""
    with reports_of(read_settings(PlatformSettings)) as reports:
        days = reports.costs(options.since)
    if options.json:
        show_json({"since": options.since, "estimated_cost_usd": total_usd(days), "days": days})
    else:
        show_lines(screen(days, options.since, paint()))
    return EXIT_DONE


def total_usd(days: Sequence[DayCost]) -> Decimal:
    """Of all [pure]."""
    return sum((day.estimated_cost_usd for day in days), Decimal(0))


def screen(days: Sequence[DayCost], since: datetime, paint: Paint) -> Iterator[str]:
    """The lines [pure]."""
    if not days:
        yield f"No picture was completed since {moment(since)}."
        return
    head, *lines = columns(
        [("DAY", "CHANNEL", "PICTURES", "TOKENS IN", "TOKENS OUT", "USD (estimate)"), *(cells_of(day) for day in days)]
    )
    yield paint(head, Tone.HEADING)
    yield from lines
    yield ""
    pictures, unpriced = sum(day.pictures for day in days), sum(day.unpriced for day in days)
    each = f", {total_usd(days) / (pictures - unpriced):.4f} each" if pictures > unpriced else ""
    yield f"{counted(pictures, 'picture')} since {moment(since)}: about {total_usd(days):.2f} USD{each} (estimate)."
    if unpriced:
        yield paint(f"{counted(unpriced, 'picture')} without an estimate, not in the sum.", Tone.WARNING)


def cells_of(day: DayCost) -> tuple[str, ...]:
    """A day's line [pure]."""
    return (
        day.day.isoformat(),
        str(day.channel),
        str(day.pictures),
        str(day.input_tokens),
        str(day.output_tokens),
        f"{day.estimated_cost_usd:.4f}",
    )
