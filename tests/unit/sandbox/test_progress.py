"""What the sandbox writes for a person: live on a capable terminal, plain everywhere else."""

import io
import os

import pytest

from sandbox.console.progress import Console, Style, signs_due


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A capable one, a hundred columns wide."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def shown_on(stream: io.StringIO, lines: list[str]) -> str:
    """What is written while a block of these lines is shown, once they are there."""
    with Console(stream).showing(lambda: lines):
        while lines[-1][:3] not in stream.getvalue():
            pass
    return stream.getvalue()


def test_a_capable_terminal_gets_colours(terminal: Terminal) -> None:
    console = Console(terminal)
    console.line("good", Style.GOOD)
    assert console.is_live
    assert terminal.getvalue() == "\x1b[32mgood\x1b[0m\n"


def test_no_color_keeps_colours_away_and_the_block_alive(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(terminal)
    console.line("good", Style.GOOD)
    assert console.is_live
    assert terminal.getvalue() == "good\n"


def test_a_dumb_terminal_is_neither_coloured_nor_redrawn(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console = Console(terminal)
    console.line("good", Style.GOOD)
    assert not console.is_live
    assert terminal.getvalue() == "good\n"


def test_a_pipe_is_never_redrawn_even_when_colours_are_forced_upon_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not Console(io.StringIO()).is_live
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not Console(io.StringIO()).is_live


def test_a_redrawn_line_never_exceeds_a_narrow_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "9")
    written = shown_on(terminal, ["queued 0.0 s"])
    assert "queued 0\u2026" in written
    assert "queued 0.0" not in written


def test_a_line_that_stays_is_written_whole_however_long_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "9")
    url = "picture: http://127.0.0.1:5000/storage/v1/object/sign/[bucket]/p.jpg?token=:smile:"
    for stream in (io.StringIO(), terminal):
        Console(stream).line(url)
        assert stream.getvalue() == f"{url}\n"


@pytest.mark.parametrize(("seconds", "signs"), [(0, 0), (1.9, 0), (2, 1), (11.9, 1), (12, 2), (62, 7)])
def test_a_plain_log_gets_a_sign_of_life_after_two_seconds_and_every_ten(seconds: float, signs: int) -> None:
    assert signs_due(seconds) == signs


def test_a_step_says_how_it_ended() -> None:
    stream = io.StringIO()
    console = Console(stream)

    with console.step("Redis"):
        pass
    with pytest.raises(RuntimeError), console.step("Postgres"):
        raise RuntimeError

    assert [line.split()[:2] for line in stream.getvalue().splitlines()] == [["Redis", "ready"], ["Postgres", "failed"]]


def test_a_plain_console_writes_no_escape_codes() -> None:
    stream = io.StringIO()
    console = Console(stream)

    with console.showing(lambda: ["working"]):
        console.line("good", Style.GOOD)

    assert stream.getvalue() == "good\n"


def test_a_live_block_is_gone_when_its_work_is_done(terminal: Terminal) -> None:
    up_and_erased = "\x1b[1A\x1b[2K"  # ECMA-48: CUU, EL
    assert shown_on(terminal, ["one", "two"]).endswith(f"\r{up_and_erased * 2}")


def test_an_output_that_knows_only_ascii_gets_question_marks_and_no_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    Console(stream).line("Größe")

    assert raw.getvalue() == b"Gr??e" + os.linesep.encode()
    stream.close()


def test_a_reader_that_goes_away_ends_the_output_and_not_the_work() -> None:
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    stream = os.fdopen(writing_end, "w", closefd=False)
    console = Console(stream)

    console.line("nobody reads this")
    console.line("nor this")

    with pytest.raises(BrokenPipeError):  # what is left in the stream; Python 3.14 speaks of it if nobody closes
        stream.close()
    os.close(writing_end)
