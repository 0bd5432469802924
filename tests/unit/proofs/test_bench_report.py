"""The table that ``make bench`` prints and the document it writes."""

from datetime import UTC, datetime

from proofs.bench.figures import Figure, Section
from proofs.bench.machine import Machine
from proofs.bench.report import as_markdown, as_text

SECTION = Section(
    "Speed",
    "Measured on a quiet machine.",
    (
        Figure("P95", "31.00 s", "30.00 s provider", "< 33 s", met=True),
        Figure("pipes | in a name", "9", "1", "<= 1", met=False),
        Figure("only informs", "5", "4"),
    ),
)

MACHINE = Machine(
    measured_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    processors=2,
    processor_model="Example CPU",
    memory_bytes=4 * 2**30,
    system="Linux 6",
    python="3.12.1",
    packages={"celery": "5.6.3"},
    load_before=0.5,
)


def test_the_printed_table_has_every_figure_beside_its_reference_in_columns() -> None:
    head, rule, *rows = as_text([SECTION]).splitlines()

    assert head.split() == ["figure", "measured", "reference", "aim"]
    assert set(rule) == {"-", " "}
    assert rows[0].endswith("met")
    assert rows[1].endswith("MISSED")
    assert rows[2].endswith("4")
    assert {row.index(cell) for row, cell in zip(rows, ("31.00 s", "9", "5"), strict=True)} == {head.index("measured")}


def test_the_document_names_machine_date_and_versions_before_the_figures() -> None:
    document = as_markdown([SECTION], MACHINE)

    assert document.startswith("# Benchmarks\n")
    facts = document[: document.index("## Speed")]
    for fact in ("2026-01-02 03:04 UTC", "2 x Example CPU, 4 GiB", "Python 3.12.1", "celery 5.6.3", "0.50"):
        assert fact in facts


def test_the_document_gives_each_section_its_conditions_and_a_table() -> None:
    document = as_markdown([SECTION], MACHINE)

    assert "## Speed\n\nMeasured on a quiet machine.\n\n| figure |" in document
    assert "| P95 | 31.00 s | 30.00 s provider | < 33 s | met |" in document


def test_a_pipe_in_a_cell_does_not_break_the_documents_table() -> None:
    assert "| pipes \\| in a name |" in as_markdown([SECTION], MACHINE)
