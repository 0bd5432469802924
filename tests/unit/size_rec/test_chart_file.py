"""A shop's chart in a CSV file, as ``python -m size_rec --chart`` reads it."""

from pathlib import Path

import pytest

from size_rec.__main__ import EXIT_REFUSED, main
from size_rec.answer import chart_of
from size_rec.body.size_chart import SizeChart
from size_rec.cli.chart_file import ChartUnusable, chart_in, read_chart

COMMAS = """size,chest_cm,waist_cm
36,84,68.5
38,92,76

40+,,
"""


def test_a_line_is_a_size() -> None:
    assert chart_of(chart_in(COMMAS)) == SizeChart(("36", "38", "40+"), (84, 92), (68.5, 76))


def test_a_spreadsheets_semicolons_and_decimal_commas_are_read() -> None:
    spreadsheet = COMMAS.replace(",", ";").replace(".", ",")
    assert chart_of(chart_in(spreadsheet)) == chart_of(chart_in(COMMAS))


@pytest.mark.parametrize("first", ["sep={}\n", "SEP={}\r\n", '"sep={}"\n', "\nsep={}\r"])
@pytest.mark.parametrize("separator", [";", ","])
def test_a_line_that_names_the_separator_as_spreadsheets_write_it_is_understood(first: str, separator: str) -> None:
    assert chart_in(first.format(separator) + COMMAS.replace(",", separator)) == chart_in(COMMAS)


@pytest.mark.parametrize("line_break", ["\r\n", "\r"])
def test_the_line_breaks_of_every_system_are_read(line_break: str, tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_bytes(COMMAS.replace("\n", line_break).encode())
    assert read_chart(path) == chart_in(COMMAS)


def test_lines_without_any_cell_filled_in_are_no_sizes() -> None:
    assert chart_in(COMMAS + ",,\n , ,\n") == chart_in(COMMAS)


def test_inches_are_converted() -> None:
    chart = chart_of(chart_in("Size, Hip_in\nS, 38\n"))
    assert chart.hip_limits_cm == pytest.approx((96.52,))


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text(COMMAS, encoding="utf-8-sig")
    assert read_chart(path) == chart_in(COMMAS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the first line must name the columns: size, and any of chest_cm, "),
        ("size,chest\nS,84\n", "the first line must name the columns: size, and any of chest_cm, "),
        ("size,chest_cm,chest_cm\nS,84,84\n", "the first line must name the columns"),
        ("size,chest_cm,hip_in\nS,84,38\n", "at least one of these, and all in one unit"),
        ("size\nS\n", "at least one of these, and all in one unit"),
        ("size,chest_cm\nS,84,3\n", "size 1 must have 2 columns, as the first line has; numbers have a decimal point"),
        ("size;chest_cm\nS;84;3\n", "size 1 must have 2 columns, as the first line has"),
        ("size,chest_cm\nS,wide\n", "chest_cm of size 1 must be a number with a decimal point, such as 84.5"),
        ('size,chest_cm\nS,"84,5"\n', "chest_cm of size 1 must be a number with a decimal point, such as 84.5"),
        ("size,hip_in\nS,36\nM,3_8\n", "hip_in of size 2 must be a number with a decimal point"),
        ("size,chest_cm\nS,nan\n", "chest_cm of size 1 must be a number with a decimal point"),
        ("size;chest_cm\nS;1.084,5\n", "chest_cm of size 1 must be a number"),
        ("size,chest_cm\nS,484\n", "chest_cm of size 1 must be a number from 50 to 200 cm"),
        (f"size,chest_cm\n{'S' * 200_000},84\n", "a cell is far too long; perhaps a quotation mark is not closed"),
        ('size,chest_cm\n"S\nM",84\n', "the label of size 1 must be 1 to 40 printable characters"),
        ("sep=|\nsize|chest_cm\nS|84\n", "the first line must name the columns"),
        ("size,chest_cm\n,84\n", "the label of size 1 must be 1 to 40 printable characters"),
        ("size,chest_cm\n", "sizes must be a list of 1 to 24 sizes"),
        ("size,chest_cm\nM,92\nS,84\n", "chest_cm of size 2 must be above that of size 1"),
    ],
)
def test_what_is_no_chart_is_told_in_a_sentence(text: str, told: str) -> None:
    with pytest.raises(ChartUnusable) as fault:
        chart_in(text)
    assert told in str(fault.value)


def test_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_bytes("size,chest_cm\ngroß,84\n".encode("latin-1"))
    with pytest.raises(ChartUnusable, match="UTF-8"):
        read_chart(path)


@pytest.mark.parametrize(("text", "told"), [(None, "No such file or directory"), ("size\nS\n", "all in one unit")])
def test_the_command_says_what_is_wrong_with_the_chart_before_it_looks_at_the_photo(
    text: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chart.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main([str(tmp_path / "photo.jpg"), "--height", "175", "--chart", str(path)]) == EXIT_REFUSED
    printed = capsys.readouterr().err
    assert printed.startswith(f"{path}: ")
    assert told in printed
