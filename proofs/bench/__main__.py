"""``python -m proofs.bench [--only NAME] [--base COMMIT] [--quick]``: measure, print the table, write the document.

With a ``COMMIT`` that one is measured as well, in turns with this tree, before everything else.

``--hold MINUTES [--light]`` runs the long measurement alone, with one worker and then shorter with two.

The exit status is 1 when an aim was missed.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from proofs.bench import run_backlog, run_cpu, run_hold, run_rate_limit, run_scraping, run_throughput
from proofs.bench.comparison import compare
from proofs.bench.figures import Section
from proofs.bench.machine import Machine
from proofs.bench.progress import Say, progress
from proofs.bench.report import as_markdown, as_text
from proofs.bench.stage import Stage, open_stage

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"

COMPARISON: Final = "comparison"

ExtentT = TypeVar("ExtentT")


@dataclass(frozen=True, slots=True)
class Measurement(Generic[ExtentT]):
    """One kind of measurement, and how much of it a full run and a smoke test do."""

    measure: Callable[[Stage, ExtentT, Say], Section]
    full: ExtentT
    quick: ExtentT

    def run(self, stage: Stage, say: Say, *, quick: bool) -> Section:
        """Measure."""
        return self.measure(stage, self.quick if quick else self.full, say)


MEASUREMENTS: Final[dict[str, Measurement[Any]]] = {
    "cpu": Measurement(run_cpu.measure, run_cpu.FULL, run_cpu.QUICK),
    "throughput": Measurement(run_throughput.measure, run_throughput.FULL, run_throughput.QUICK),
    "rate-limit": Measurement(run_rate_limit.measure, run_rate_limit.FULL, run_rate_limit.QUICK),
    "scraping": Measurement(run_scraping.measure, run_scraping.FULL, run_scraping.QUICK),
    "backlog": Measurement(run_backlog.measure, run_backlog.FULL, run_backlog.QUICK),
}


TWO_WORKERS_SHARE: Final = 0.3
"""Of the long measurement's time, for two workers: whether they share one window shows within a few minutes."""


def hold(minutes: float, *, light: bool) -> dict[str, Measurement[Any]]:
    """The long measurement with one worker and with two."""
    alone = run_hold.Extent(minutes=minutes, judged_minutes=min(5.0, minutes / 2), light=light)
    shorter = minutes * TWO_WORKERS_SHARE
    both = run_hold.Extent(minutes=shorter, judged_minutes=min(5.0, shorter / 2), workers=2, light=light)
    return {
        "hold": Measurement(run_hold.measure, alone, alone),
        "hold-two": Measurement(run_hold.measure, both, both),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m proofs.bench", description="Measure the worker.")
    names = [*sorted(MEASUREMENTS), COMPARISON]
    parser.add_argument("--only", choices=names, action="append", help="just this; may be repeated")
    parser.add_argument("--base", metavar="COMMIT", help="measure this commit, too, in turns with this tree")
    parser.add_argument("--quick", action="store_true", help="a smoke test: the figures mean little")
    parser.add_argument("--hold", type=float, metavar="MINUTES", help="just this: the promised rate for so long")
    parser.add_argument("--light", action="store_true", help="with --hold: small photographs, for a busy machine")
    chosen = parser.parse_args(arguments)
    say = progress()
    machine = Machine.this()
    if COMPARISON in (chosen.only or ()) and not chosen.base:
        parser.error(f"--only {COMPARISON} needs --base COMMIT")
    measurements = MEASUREMENTS if chosen.hold is None else hold(chosen.hold, light=chosen.light)
    chosen_names = chosen.only or [*measurements, COMPARISON]
    sections = [compare(chosen.base, say, quick=chosen.quick)] if chosen.base and COMPARISON in chosen_names else []
    sections += _measured(
        {name: measurements[name] for name in measurements if name in chosen_names}, say, quick=chosen.quick
    )
    say("done\n")
    print(as_text(sections))
    if not chosen.only and not chosen.quick and chosen.hold is None:
        DOCUMENT.write_text(as_markdown(sections, machine))
        print(f"\nWritten to {DOCUMENT.relative_to(Path.cwd()) if DOCUMENT.is_relative_to(Path.cwd()) else DOCUMENT}")
    missed = [figure.name for section in sections for figure in section.figures if figure.met is False]
    if missed and not chosen.quick:
        print(f"\nMissed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed and not chosen.quick else 0


def _measured(measurements: Mapping[str, Measurement[Any]], say: Say, *, quick: bool) -> list[Section]:
    if not measurements:
        return []
    with open_stage() as stage:
        say("the world is up")
        return [measurement.run(stage, say, quick=quick) for measurement in measurements.values()]


if __name__ == "__main__":
    sys.exit(main())
