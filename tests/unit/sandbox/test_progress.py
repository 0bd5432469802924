"""What the sandbox writes for a person: live on a capable terminal, plain everywhere else."""

import io
import os

import pytest

from sandbox.console.progress import Console, Style, clip, has_colour, is_live, signs_due


@pytest.mark.parametrize(
    ("is_terminal", "environment", "live", "colour"),
    [
        (True, {"TERM": "xterm-256color"}, True, True),
        (True, {"TERM": "xterm-256color", "NO_COLOR": "1"}, True, False),
        (True, {"TERM": "xterm-256color", "NO_COLOR": ""}, True, True),
        (True, {"TERM": "dumb"}, False, False),
        (True, {}, False, False),
        (False, {"TERM": "xterm-256color"}, False, False),
    ],
)
def test_only_a_capable_terminal_is_redrawn_and_no_color_keeps_it_plain(
    is_terminal: bool, environment: dict[str, str], live: bool, colour: bool
) -> None:
    assert is_live(is_terminal=is_terminal, environment=environment) is live
    assert has_colour(is_terminal=is_terminal, environment=environment) is colour


@pytest.mark.parametrize(
    ("columns", "shown"), [(20, "queued 0.0 s"), (12, "queued 0.0 s"), (9, "queued..."), (3, "..."), (2, ".."), (0, "")]
)
def test_a_redrawn_line_never_exceeds_the_terminal(columns: int, shown: str) -> None:
    assert clip("queued 0.0 s", columns) == shown


@pytest.mark.parametrize(("seconds", "signs"), [(0, 0), (1.9, 0), (2, 1), (11.9, 1), (12, 2), (62, 7)])
def test_a_plain_log_gets_a_sign_of_life_after_two_seconds_and_every_ten(seconds: float, signs: int) -> None:
    assert signs_due(seconds) == signs


def test_a_step_says_how_it_ended() -> None:
    stream = io.StringIO()
    console = Console(stream, live=False, colour=False)

    with console.step("Redis"):
        pass
    with pytest.raises(RuntimeError), console.step("Postgres"):
        raise RuntimeError

    assert [line.split()[:2] for line in stream.getvalue().splitlines()] == [["Redis", "ready"], ["Postgres", "failed"]]


def test_a_plain_console_writes_no_escape_codes() -> None:
    stream = io.StringIO()
    console = Console(stream, live=False, colour=False)

    with console.showing(lambda: ["working"]):
        console.line("good", Style.GOOD)

    assert stream.getvalue() == "good\n"


def test_a_live_block_is_gone_when_its_work_is_done() -> None:
    stream = io.StringIO()
    console = Console(stream, live=True, colour=False)

    with console.showing(lambda: ["one", "two"]):
        while "two" not in stream.getvalue():
            pass

    assert stream.getvalue().endswith("one\ntwo\n\x1b[2A\x1b[J")


def test_an_output_that_knows_only_ascii_gets_question_marks_and_no_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    Console(stream, live=False, colour=False).line("Größe")

    assert raw.getvalue() == b"Gr??e" + os.linesep.encode()
    stream.close()


def test_a_reader_that_goes_away_ends_the_output_and_not_the_work() -> None:
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    stream = os.fdopen(writing_end, "w", closefd=False)
    console = Console(stream, live=False, colour=False)

    console.line("nobody reads this")
    console.line("nor this")

    with pytest.raises(BrokenPipeError):  # what is left in the stream; Python 3.14 speaks of it if nobody closes
        stream.close()
    os.close(writing_end)
