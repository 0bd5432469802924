"""Sections as text: a table for the terminal, and ``docs/benchmarks.md``."""

from collections.abc import Sequence
from typing import Final

from proofs.bench.figures import Figure, Section
from proofs.bench.machine import Machine

HEADINGS: Final = ("figure", "measured", "reference", "aim", "")

INTRODUCTION: Final = """\
# Benchmarks

Written by `make bench`; do not edit. Every figure stands beside a reference that was measured in the same run on the
same machine, or beside the limit it is held against. The worker shares the machine with everything around it: Redis,
Postgres, the Supabase API, the provider's simulator, the image host and whoever measures.
"""


def cells(figure: Figure) -> tuple[str, ...]:
    """One row."""
    return (figure.name, figure.measured, figure.reference, figure.aim, figure.verdict)


def as_text(sections: Sequence[Section]) -> str:
    """The table as printed."""
    rows = [HEADINGS, *(cells(figure) for section in sections for figure in section.figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def as_markdown(sections: Sequence[Section], machine: Machine) -> str:
    """The whole of ``docs/benchmarks.md``."""
    parts = [INTRODUCTION, "\n".join(f"- {name}: {value}" for name, value in machine.facts()) + "\n"]
    for section in sections:
        rows = [HEADINGS, ("---",) * len(HEADINGS), *(cells(figure) for figure in section.figures)]
        table = "\n".join("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows)
        parts.append(f"## {section.title}\n\n{section.conditions}\n\n{table}\n")
    return "\n".join(parts)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
