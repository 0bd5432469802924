"""Reads a shop's chart from a CSV file, for ``python -m size_rec --chart``.

The first line names the columns, ``size`` and any of chest, waist and hip with the unit, the same in all of them;
then a line for each size, the smallest first. The last size may leave its bounds empty and then has no upper end:

    size,chest_cm,waist_cm,hip_cm
    36,84,68,92
    38,88,72,96
    40+,,,

Spreadsheets that write decimal commas separate columns by semicolons; such files are read as well.
"""

import csv
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from models.size_chart import CM_PER_UNIT, GIRTHS, ShopChart, explain_chart_fault

SIZE_COLUMN: Final = "size"
COLUMNS: Final = {f"{girth}_{unit}": (f"{girth}_max", unit) for girth in GIRTHS for unit in CM_PER_UNIT}
"""From a column's name to the request's field and the unit."""

HEADER_RULE: Final = "the first line must name the columns: size, and any of " + ", ".join(COLUMNS)


class ChartUnusable(Exception):
    """The file is no size chart; the message says what to change in it."""


def read_chart(path: Path) -> ShopChart:
    """The chart in a file.

    Raises:
        OSError: the file cannot be read.
        ChartUnusable: it is no chart.
    """
    try:
        return chart_in(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise ChartUnusable("save the chart as CSV in UTF-8") from None


def chart_in(text: str) -> ShopChart:
    """The chart in a file's text. Pure.

    Raises:
        ChartUnusable: it is no chart.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = ";" if lines and ";" in lines[0] else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    fields, unit = _columns(rows[0] if rows else [])
    sizes = [_size(fields, row, number, delimiter) for number, row in enumerate(rows[1:], start=1)]
    try:
        return ShopChart.model_validate({"unit": unit, "sizes": sizes})
    except ValidationError as refusal:
        faults = dict.fromkeys(explain_chart_fault(fault, fault["loc"]) for fault in refusal.errors())
        raise ChartUnusable(_in_columns("; ".join(faults), unit)) from None


def _in_columns(sentence: str, unit: str) -> str:
    """The sentence about a request's chart with the names of the file's columns instead."""
    for column, (field, its_unit) in COLUMNS.items():
        if its_unit == unit:
            sentence = sentence.replace(field, column)
    return sentence.replace("size_chart: ", "").replace("label of", "the label of")


def _columns(header: list[str]) -> tuple[list[str], str]:
    """The request's field for each column, and the unit of all."""
    names = [name.lower() for name in header]
    if SIZE_COLUMN not in names or len(set(names)) < len(names) or not set(names) <= {SIZE_COLUMN, *COLUMNS}:
        raise ChartUnusable(HEADER_RULE)
    units = {COLUMNS[name][1] for name in names if name != SIZE_COLUMN}
    if len(units) != 1:
        raise ChartUnusable(f"{HEADER_RULE}; at least one of these, and all in one unit")
    return ["label" if name == SIZE_COLUMN else COLUMNS[name][0] for name in names], units.pop()


def _size(fields: list[str], row: list[str], number: int, delimiter: str) -> dict[str, Any]:
    if len(row) != len(fields):
        raise ChartUnusable(f"size {number} must have {len(fields)} columns, as the first line has")
    cells = {field: cell for field, cell in zip(fields, row, strict=True) if cell or field == "label"}
    return {
        field: cell if field == "label" else _number(cell, field, number, delimiter) for field, cell in cells.items()
    }


def _number(cell: str, field: str, number: int, delimiter: str) -> float:
    try:
        return float(cell.replace(",", ".") if delimiter == ";" else cell)
    except ValueError:
        column = field.removesuffix("_max")
        raise ChartUnusable(f"{column} of size {number} must be a number, or empty in the last line") from None
