"""What an operator sees and does with dead letters, on a real Redis."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import redis

from operations.__main__ import main as wearon
from operations.dead_letters_view import LONGEST_SHOWN_CHARS
from operations.errors import EXIT_DONE, EXIT_MISCONFIGURED, EXIT_REFUSED, EXIT_UNAVAILABLE
from sandbox.servers.redis import LocalRedis
from services.queue.task_queue import DEAD_LETTERS_KEY, PIECE_BYTES, QUEUE_KEY, TaskQueue
from tests.support.payloads import PERSON_URL, SESSION_ID, SIGNATURE, b2b, b2c, encode
from worker.dead_letters import DeadLetter
from worker.elements import MAX_ELEMENT_BYTES

REPOSITORY: Final = Path(__file__).resolve().parents[3]
NOON: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PROGRAM_SECONDS: Final = 60

BROKEN: Final = encode(b2c())[:-1]
NEWER: Final = encode(b2b(version=2))
RUNNABLE: Final = encode(b2c())


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def only_the_queue_is_configured(tmp_path: Path, redis_server: LocalRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_server.url)


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[Any]:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def queue(client: Any) -> TaskQueue:
    return TaskQueue(client)


def bury(queue: TaskQueue, element: bytes, *, minutes: int = 0, **changed: Any) -> DeadLetter:
    """As the consumer does it; ``minutes`` after noon."""
    letter = DeadLetter.about(
        element,
        **{
            "reason": "invalid_fields",
            "detail": "channel: Input should be 'b2b' or 'b2c'",
            "buried_at": NOON + timedelta(minutes=minutes),
            "session_ids": (UUID(SESSION_ID),),
            "request_id": "req_1",
            **changed,
        },
    )
    queue.bury(uuid4(), element, letter.encode())
    return letter


def waiting(client: Any) -> list[bytes]:
    """The queue, what is taken next first."""
    return list(reversed(client.lrange(QUEUE_KEY, 0, -1)))


def main(arguments: Sequence[str]) -> int:
    return wearon(["dead-letters", *arguments])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = EXIT_DONE) -> str:
    assert main(arguments) == status
    captured = capsys.readouterr()
    return captured.out if status == EXIT_DONE else captured.err


class TestList:
    """``list``."""

    def test_an_empty_list_says_so(self, queue: TaskQueue, capsys: pytest.CaptureFixture[str]) -> None:
        assert printed(capsys, "list") == "There are no dead letters.\n"
        assert json.loads(printed(capsys, "list", "--json")) == []

    def test_each_letter_is_a_line_newest_first(self, queue: TaskQueue, capsys: pytest.CaptureFixture[str]) -> None:
        older = bury(queue, BROKEN, reason="not_json", detail="cannot be read as JSON", request_id=None)
        newer = bury(queue, NEWER, minutes=5, reason="unsupported_version", session_ids=())
        head, first, second, _, count = printed(capsys, "list").splitlines()
        assert head.split() == ["ID", "BURIED", "REASON", "BYTES", "SESSION", "REQUEST", "DETAIL"]
        assert first.split()[:6] == [
            newer.letter_id,
            "2026-11-21T12:05:00+00:00",
            "unsupported_version",
            str(len(NEWER)),
            "-",
            "req_1",
        ]
        assert second.split()[0] == older.letter_id
        assert second.split()[4:6] == [SESSION_ID, "-"]
        assert count == "2 dead letters."

    def test_programs_get_the_same_as_json(self, queue: TaskQueue, capsys: pytest.CaptureFixture[str]) -> None:
        letter = bury(queue, NEWER)
        assert json.loads(printed(capsys, "list", "--json")) == [
            {
                "id": letter.letter_id,
                "buried_at": "2026-11-21T12:00:00+00:00",
                "reason": "invalid_fields",
                "detail": "channel: Input should be 'b2b' or 'b2c'",
                "session_ids": [SESSION_ID],
                "request_id": "req_1",
                "size_bytes": len(NEWER),
            }
        ]

    @pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
    def test_nothing_secret_and_nothing_that_moves_the_cursor_is_printed(
        self, queue: TaskQueue, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
    ) -> None:
        bury(queue, RUNNABLE, request_id=f"\x1b[2J {PERSON_URL}", detail=f"refused {PERSON_URL}\nsecond line")
        text = printed(capsys, "list", *form)
        assert SIGNATURE not in text
        assert "\x1b" not in text
        assert "second line" not in [line.strip() for line in text.splitlines()]

    def test_a_letter_nobody_can_read_is_counted_and_hides_no_other(
        self, queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        letter = bury(queue, BROKEN)
        for garbage in (b"garbage", b"[]", b"5", b'{"letter_id": "x"}', b"\xff"):
            client.lpush(DEAD_LETTERS_KEY, garbage)
        assert main(["list"]) == EXIT_DONE
        captured = capsys.readouterr()
        assert letter.letter_id in captured.out
        assert captured.err.startswith("5 more cannot be read")


class TestShow:
    """``show``."""

    def test_one_letter_is_shown_with_its_element_laid_out(
        self, queue: TaskQueue, capsys: pytest.CaptureFixture[str]
    ) -> None:
        letter = bury(queue, RUNNABLE)
        text = printed(capsys, "show", letter.letter_id[:4])
        for part in (letter.letter_id, "invalid_fields", SESSION_ID, "req_1", "12:00:00", '\n  "channel": "b2c",'):
            assert part in text

    SECRETIVE: Final = (
        pytest.param(RUNNABLE, id="a task"),
        pytest.param(BROKEN, id="broken JSON"),
        pytest.param(encode(encode(b2c()).decode())[:-1], id="serialised twice and broken"),
        pytest.param(BROKEN.replace(b"?", b"\\u003f"), id="broken JSON, question mark escaped"),
        pytest.param(BROKEN.replace(b"?", b"%3F"), id="broken JSON, question mark percent-encoded"),
        pytest.param(BROKEN.replace(b"https:", b"HTTPS:"), id="scheme in capitals"),
        pytest.param(b"\xff" + BROKEN, id="bytes that are no text"),
        pytest.param(encode({PERSON_URL: 1}), id="a URL as a key"),
        pytest.param(encode([[{"x": PERSON_URL}]]), id="a URL deep inside"),
        pytest.param(b"token=" + SIGNATURE.encode(), id="a signature without its URL"),
    )

    @pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
    @pytest.mark.parametrize("element", SECRETIVE)
    def test_signatures_are_not_shown_unless_asked_for(
        self, queue: TaskQueue, capsys: pytest.CaptureFixture[str], element: bytes, form: tuple[str, ...]
    ) -> None:
        letter = bury(queue, element)
        text = printed(capsys, "show", letter.letter_id, *form)
        assert SIGNATURE not in text
        assert SIGNATURE.split(".")[2] not in text, "the part that signs"

    @pytest.mark.parametrize("element", SECRETIVE[:-1])
    def test_a_signature_that_looks_like_nothing_known_goes_with_its_query(
        self, queue: TaskQueue, capsys: pytest.CaptureFixture[str], element: bytes
    ) -> None:
        letter = bury(queue, element.replace(SIGNATURE.encode(), b"first&second=opaque1"))
        text = printed(capsys, "show", letter.letter_id)
        assert "p.jpg" in text
        assert "first" not in text
        assert "opaque1" not in text

    @pytest.mark.parametrize("element", [RUNNABLE, b"\xff\x00\n", b""])
    def test_raw_is_the_element_byte_by_byte(
        self, queue: TaskQueue, capsysbinary: pytest.CaptureFixture[bytes], element: bytes
    ) -> None:
        letter = bury(queue, element)
        assert main(["show", letter.letter_id, "--raw"]) == EXIT_DONE
        assert capsysbinary.readouterr().out == element

    @pytest.mark.parametrize(
        "element",
        [b"\x1b]0;owned\x07", encode({"x": "\x1b[2J"}), '{"x": "\u202e"}'.encode(), b'"\\ud800"', "\x9b2J".encode()],
    )
    def test_an_element_cannot_play_with_the_terminal(
        self, queue: TaskQueue, capsys: pytest.CaptureFixture[str], element: bytes
    ) -> None:
        text = printed(capsys, "show", bury(queue, element).letter_id)
        assert all(char.isprintable() or char == "\n" for char in text)

    @pytest.mark.parametrize(
        "element", [b"x " * LONGEST_SHOWN_CHARS, b"[" * 100_000, encode(list(range(LONGEST_SHOWN_CHARS)))]
    )
    def test_a_huge_element_is_cut(self, queue: TaskQueue, capsys: pytest.CaptureFixture[str], element: bytes) -> None:
        text = printed(capsys, "show", bury(queue, element).letter_id)
        assert len(text) < LONGEST_SHOWN_CHARS + 2_000
        assert "characters" in text

    def test_it_says_what_a_replay_would_do(self, queue: TaskQueue, capsys: pytest.CaptureFixture[str]) -> None:
        assert "bury it again: version 2;" in printed(capsys, "show", bury(queue, NEWER).letter_id)
        assert "`wearon session` tells" in printed(capsys, "show", bury(queue, RUNNABLE).letter_id)


class TestReplay:
    """``replay``."""

    def test_a_replayed_element_is_taken_next_and_its_letter_is_gone(
        self, queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        client.lpush(QUEUE_KEY, b"waiting")
        chosen, other = bury(queue, RUNNABLE), bury(queue, BROKEN, minutes=1)
        text = printed(capsys, "replay", chosen.letter_id)
        assert waiting(client) == [RUNNABLE, b"waiting"]
        assert [DeadLetter.decode(stored) for stored in queue.dead_letters()] == [other]
        assert text.startswith(f"replayed {chosen.letter_id}. If its session is completed or failed by now")

    def test_bytes_that_are_no_text_are_replayed_as_they_were(
        self, queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        letter = bury(queue, b"\xff\x00")
        assert "will bury it again" in printed(capsys, "replay", letter.letter_id)
        assert waiting(client) == [b"\xff\x00"]

    def test_several_are_taken_in_the_order_they_were_buried(
        self, queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        letters = [bury(queue, element, minutes=minute) for minute, element in enumerate([b"1", b"2", b"3"])]
        printed(capsys, "replay", letters[2].letter_id, letters[0].letter_id, letters[0].letter_id[:6])
        assert waiting(client) == [b"1", b"3"]

    def test_all_of_them_with_yes(self, queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str]) -> None:
        for minute, element in enumerate([b"1", b"2", b"3"]):
            bury(queue, element, minutes=minute)
        printed(capsys, "replay", "--all", "--yes")
        assert waiting(client) == [b"1", b"2", b"3"]
        assert list(queue.dead_letters()) == []

    @pytest.mark.parametrize(("answer", "replayed"), [("y\n", 1), ("Yes\n", 1), ("n\n", 0), ("\n", 0), ("maybe\n", 0)])
    def test_all_of_them_only_after_a_yes_at_the_terminal(
        self, queue: TaskQueue, client: Any, monkeypatch: pytest.MonkeyPatch, answer: str, replayed: int
    ) -> None:
        bury(queue, RUNNABLE)
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert main(["replay", "--all"]) == (EXIT_DONE if replayed else EXIT_REFUSED)
        assert (len(waiting(client)), len(list(queue.dead_letters()))) == (replayed, 1 - replayed)

    def test_without_a_terminal_and_without_yes_nothing_is_done(
        self, queue: TaskQueue, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bury(queue, RUNNABLE)
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        assert "--yes" in printed(capsys, "replay", "--all", status=EXIT_REFUSED)
        assert waiting(client) == []

    @pytest.mark.parametrize("arguments", [(), ("--all", "3fa9")])
    def test_it_must_be_clear_which(
        self, queue: TaskQueue, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
    ) -> None:
        assert "--all" in printed(capsys, "replay", *arguments, status=EXIT_REFUSED)

    def test_there_may_be_nothing_to_replay(self, queue: TaskQueue, capsys: pytest.CaptureFixture[str]) -> None:
        assert printed(capsys, "replay", "--all", "--yes") == "There are no dead letters.\n"


def test_a_discarded_letter_is_gone_and_the_others_stay(
    queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, kept = bury(queue, RUNNABLE), bury(queue, BROKEN)
    assert printed(capsys, "discard", gone.letter_id) == f"discarded {gone.letter_id}\n"
    assert [DeadLetter.decode(stored) for stored in queue.dead_letters()] == [kept]
    assert waiting(client) == []


@pytest.mark.parametrize("command", ["show", "replay", "discard"])
def test_an_unknown_or_ambiguous_id_does_nothing_and_says_so(
    queue: TaskQueue, client: Any, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    letters = [bury(queue, RUNNABLE, minutes=minute) for minute in range(17)]  # two begin alike: 16 digits
    firsts = [letter.letter_id[0] for letter in letters]
    twice = next(digit for digit in firsts if firsts.count(digit) > 1)
    assert "No dead letter has an ID that begins with 'xyz'" in printed(capsys, command, "xyz", status=EXIT_REFUSED)
    said = printed(capsys, command, twice, status=EXIT_REFUSED)
    assert all(letter.letter_id in said for letter in letters if letter.letter_id.startswith(twice))
    assert (len(list(queue.dead_letters())), waiting(client)) == (17, [])


class TestSetAside:
    """An element too large to be read: its letter names the key it has in Redis."""

    @pytest.fixture
    def letter(self, client: Any) -> DeadLetter:
        return self.set_aside(client, self.ELEMENT)

    ELEMENT: Final = encode(b2c(padding="\x1b" + "x" * MAX_ELEMENT_BYTES))

    @staticmethod
    def set_aside(client: Any, element: bytes, minutes: int = 0) -> DeadLetter:
        """As the consumer leaves it."""
        letter = DeadLetter.about_long(
            "digest",
            size_bytes=len(element),
            reason="too_large",
            detail="a detail",
            buried_at=NOON + timedelta(minutes=minutes),
            session_ids=(UUID(SESSION_ID),),
        )
        client.rpush(letter.element_key, element)
        client.lpush(DEAD_LETTERS_KEY, letter.encode())
        return letter

    def test_it_is_listed_like_any_other(
        self, queue: TaskQueue, letter: DeadLetter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, line, *_ = printed(capsys, "list").splitlines()
        assert line.split()[:5] == [
            letter.letter_id,
            "2026-11-21T12:00:00+00:00",
            "too_large",
            str(len(self.ELEMENT)),
            SESSION_ID,
        ]

    @pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
    def test_its_beginning_is_shown_without_signatures(
        self, letter: DeadLetter, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
    ) -> None:
        text = printed(capsys, "show", letter.letter_id, *form)
        assert SESSION_ID in text
        assert f"({len(self.ELEMENT)} bytes; --raw shows the element whole)" in text
        assert len(text) < LONGEST_SHOWN_CHARS + 2_000
        assert SIGNATURE not in text
        assert "\x1b" not in text

    @pytest.mark.parametrize(
        "element", [ELEMENT, bytes(range(256)) * (PIECE_BYTES // 256), bytes(range(256)) * (PIECE_BYTES // 256 + 1)]
    )
    def test_raw_is_the_element_byte_by_byte_however_many_pieces_it_takes(
        self, client: Any, capsysbinary: pytest.CaptureFixture[bytes], element: bytes
    ) -> None:
        letter = self.set_aside(client, element)
        assert main(["show", letter.letter_id, "--raw"]) == EXIT_DONE
        assert capsysbinary.readouterr().out == element

    def test_it_says_that_a_replay_would_only_bury_it_again(
        self, letter: DeadLetter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "will bury it again: a detail." in printed(capsys, "show", letter.letter_id)

    def test_replayed_with_others_it_has_its_place_in_their_order(
        self, queue: TaskQueue, client: Any, letter: DeadLetter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bury(queue, RUNNABLE, minutes=1)
        printed(capsys, "replay", "--all", "--yes")
        assert waiting(client) == [self.ELEMENT, RUNNABLE]
        assert client.keys() == [QUEUE_KEY.encode()]

    def test_discarded_it_is_gone_from_redis(
        self, client: Any, letter: DeadLetter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert printed(capsys, "discard", letter.letter_id) == f"discarded {letter.letter_id}\n"
        assert client.keys() == []

    @pytest.mark.parametrize("command", [("show",), ("show", "--raw"), ("replay",)], ids=" ".join)
    def test_when_redis_dropped_its_bytes_that_is_said_and_the_letter_stays(
        self, client: Any, letter: DeadLetter, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
    ) -> None:
        client.delete(letter.element_key)
        assert "is not in Redis any more" in printed(capsys, *command, letter.letter_id, status=EXIT_REFUSED)
        assert client.llen(DEAD_LETTERS_KEY) == 1


def test_a_letter_that_somebody_else_took_meanwhile_is_left_to_them(
    queue: TaskQueue, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = bury(queue, RUNNABLE)

    def answer_late(_: str) -> str:
        client.delete(DEAD_LETTERS_KEY)
        return "y"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", answer_late)
    assert main(["replay", "--all"]) == EXIT_REFUSED
    assert f"{letter.letter_id} is not there any more." in capsys.readouterr().err
    assert waiting(client) == []


class TestAsAProgram:
    """Run the way an operator runs it."""

    @staticmethod
    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "operations", "dead-letters", *arguments],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )

    def test_it_needs_no_setting_but_the_queue(self, queue: TaskQueue, redis_server: LocalRedis) -> None:
        letter = bury(queue, RUNNABLE)
        result = self.run("list", REDIS_URL=redis_server.url)
        assert (result.returncode, result.stderr) == (EXIT_DONE, "")
        assert letter.letter_id in result.stdout

    def test_help_needs_nothing_and_shows_by_example(self) -> None:
        result = self.run("--help")
        assert result.returncode == EXIT_DONE
        for command in ("list", "show", "replay", "discard"):
            assert f"wearon dead-letters {command} " in result.stdout

    def test_a_redis_that_is_away_is_named_with_its_words_and_without_its_password(self) -> None:
        result = self.run("list", REDIS_URL="redis://:hunter22@127.0.0.1:1/0")
        assert result.returncode == EXIT_UNAVAILABLE
        assert 'Redis at 127.0.0.1 did not do what was asked ("Error 111 connecting to 127.0.0.1:1' in result.stderr
        assert "hunter22" not in result.stdout + result.stderr

    def test_one_that_answers_is_not_said_to_be_silent(self, redis_server: LocalRedis) -> None:
        result = self.run("list", REDIS_URL=f"redis://:hunter22@127.0.0.1:{redis_server.port}/0")
        assert result.returncode == EXIT_UNAVAILABLE
        assert '("AUTH <password> called without any password configured' in result.stderr
        assert "hunter22" not in result.stdout + result.stderr


@pytest.mark.parametrize("url", [None, "", "localhost:6379", "redis://:hunter22[@host/0"])
def test_a_missing_or_malformed_address_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str | None
) -> None:
    if url is None:
        monkeypatch.delenv("REDIS_URL")
    else:
        monkeypatch.setenv("REDIS_URL", url)
    said = printed(capsys, "list", status=EXIT_MISCONFIGURED)
    assert said.startswith("REDIS_URL is missing or malformed.")
    assert "hunter22" not in said


def test_the_address_may_stand_in_the_env_file(
    queue: TaskQueue, redis_server: LocalRedis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REDIS_URL")
    Path(".env").write_text(f"REDIS_URL={redis_server.url}\nWORKER_CONCURRENCY=not needed here\n")
    assert printed(capsys, "list") == "There are no dead letters.\n"
