"""``python -m proofs.bench [--only NAME] [--base COMMIT] [--quick]``: measure, print the table, write the document.

With a ``COMMIT`` that one is measured as well, in turns with this tree, before everything else.

The exit status is 1 when an aim was missed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from proofs.bench import run_backlog, run_cpu, run_rate_limit, run_throughput
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
    "backlog": Measurement(run_backlog.measure, run_backlog.FULL, run_backlog.QUICK),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m proofs.bench", description="Measure the worker.")
    names = [*sorted(MEASUREMENTS), COMPARISON]
    parser.add_argument("--only", choices=names, action="append", help="just this; may be repeated")
    parser.add_argument("--base", metavar="COMMIT", help="measure this commit, too, in turns with this tree")
    parser.add_argument("--quick", action="store_true", help="a smoke test: the figures mean little")
    chosen = parser.parse_args(arguments)
    say = progress()
    machine = Machine.this()
    if COMPARISON in (chosen.only or ()) and not chosen.base:
        parser.error(f"--only {COMPARISON} needs --base COMMIT")
    chosen_names = chosen.only or [*MEASUREMENTS, COMPARISON]
    sections = [compare(chosen.base, say, quick=chosen.quick)] if chosen.base and COMPARISON in chosen_names else []
    sections += _measured([name for name in MEASUREMENTS if name in chosen_names], say, quick=chosen.quick)
    say("done\n")
    print(as_text(sections))
    if not chosen.only and not chosen.quick:
        DOCUMENT.write_text(as_markdown(sections, machine))
        print(f"\nWritten to {DOCUMENT.relative_to(Path.cwd()) if DOCUMENT.is_relative_to(Path.cwd()) else DOCUMENT}")
    missed = [figure.name for section in sections for figure in section.figures if figure.met is False]
    if missed and not chosen.quick:
        print(f"\nMissed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed and not chosen.quick else 0


def _measured(names: Sequence[str], say: Say, *, quick: bool) -> list[Section]:
    if not names:
        return []
    with open_stage() as stage:
        say("the world is up")
        return [MEASUREMENTS[name].run(stage, say, quick=quick) for name in names]


if __name__ == "__main__":
    sys.exit(main())
