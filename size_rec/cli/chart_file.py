"""Reads a shop's chart from a CSV file, for ``python -m size_rec --chart``.

The first line names the columns, ``size`` and any of chest, waist and hip with the unit, the same in all of them;
then a line for each size, the smallest first. The last size may leave its bounds empty and then has no upper end:

    size,chest_cm,waist_cm,hip_cm
    36,84,68,92
    38,88,72,96
    40+,,,

Spreadsheets that write decimal commas separate columns by semicolons; such files are read as well. Some write a line
``sep=;`` above all others, which is understood.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from models.size_chart import CM_PER_UNIT, GIRTHS, ShopChart, explain_chart_fault
from size_rec.cli.plain_number import plain_number

SIZE_COLUMN: Final = "size"
COLUMNS: Final = {f"{girth}_{unit}": (f"{girth}_max", unit) for girth in GIRTHS for unit in CM_PER_UNIT}
"""From a column's name to the request's field and the unit."""

SEPARATOR_LINE: Final = re.compile(r'"?sep=([,;])"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""What a spreadsheet may write first."""

HEADER_RULE: Final = "the first line must name the columns: size, and any of " + ", ".join(COLUMNS)
NUMBER_RULE: Final = "must be a number with a decimal point, such as 84.5; only the last line may leave it empty"


class ChartUnusable(Exception):
    """The file is no size chart; the message says what to change in it."""


def read_chart(path: Path) -> ShopChart:
    """The chart in a file.

    Raises:
        OSError: the file cannot be read.
        ChartUnusable: it is no chart.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # line breaks as they are: a cell may have one
            return chart_in(file.read())
    except UnicodeDecodeError:
        raise ChartUnusable("save the chart as CSV in UTF-8") from None


def chart_in(text: str) -> ShopChart:
    """The chart in a file's text. Pure.

    Raises:
        ChartUnusable: it is no chart.
    """
    rows, delimiter = _rows(text.lstrip())
    columns, unit = _columns(rows[0] if rows else [])
    sizes = [_size(columns, row, number, delimiter) for number, row in enumerate(rows[1:], start=1)]
    try:
        return ShopChart.model_validate({"unit": unit, "sizes": sizes})
    except ValidationError as refusal:
        faults = dict.fromkeys(explain_chart_fault(fault, fault["loc"]) for fault in refusal.errors())
        raise ChartUnusable(_in_columns("; ".join(faults), unit)) from None


def _rows(text: str) -> tuple[list[list[str]], str]:
    """The cells of every line that has any, and what separates the columns."""
    named = SEPARATOR_LINE.match(text)
    if named is not None:
        delimiter, text = named[1], text[named.end() :]
    else:
        first_line = next(io.StringIO(text, newline=""), "")
        delimiter = ";" if ";" in first_line else ","
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        ]
    except csv.Error:
        raise ChartUnusable("a cell is far too long; perhaps a quotation mark is not closed") from None
    return [row for row in rows if any(row)], delimiter


def _in_columns(sentence: str, unit: str) -> str:
    """The sentence about a request's chart with the names of the file's columns instead."""
    for column, (field, its_unit) in COLUMNS.items():
        if its_unit == unit:
            sentence = sentence.replace(field, column)
    return sentence.replace("size_chart: ", "").replace("label of", "the label of")


def _columns(header: list[str]) -> tuple[list[str], str]:
    """The names of the columns, and the unit of all."""
    names = [name.lower() for name in header]
    if SIZE_COLUMN not in names or len(set(names)) < len(names) or not set(names) <= {SIZE_COLUMN, *COLUMNS}:
        raise ChartUnusable(HEADER_RULE)
    units = {COLUMNS[name][1] for name in names if name != SIZE_COLUMN}
    if len(units) != 1:
        raise ChartUnusable(f"{HEADER_RULE}; at least one of these, and all in one unit")
    return names, units.pop()


def _size(columns: list[str], row: list[str], number: int, delimiter: str) -> dict[str, Any]:
    """The request's object for one line."""
    if len(row) != len(columns):
        told = f"size {number} must have {len(columns)} columns, as the first line has"
        raise ChartUnusable(f"{told}; numbers have a decimal point, as 84.5" if delimiter == "," else told)
    cells = dict(zip(columns, row, strict=True))
    bounds = {
        COLUMNS[column][0]: _number(cell, column, number, delimiter)
        for column, cell in cells.items()
        if column != SIZE_COLUMN and cell
    }
    return {"label": cells[SIZE_COLUMN]} | bounds


def _number(cell: str, column: str, number: int, delimiter: str) -> float:
    try:
        return plain_number(cell.replace(",", ".") if delimiter == ";" else cell)
    except ValueError:
        raise ChartUnusable(f"{column} of size {number} {NUMBER_RULE}") from None
