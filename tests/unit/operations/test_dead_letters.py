"""Dead letters keep what was buried, byte by byte."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dead_letters import ID_DIGITS, DeadLetter

NOON = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
SESSION = UUID("0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02")


def letter_about(element: bytes, *, buried_at: datetime = NOON, sessions: tuple[UUID, ...] = ()) -> DeadLetter:
    return DeadLetter.about(
        element, reason="not_json", detail="why", buried_at=buried_at, session_ids=sessions, request_id="req_1"
    )


@given(st.binary())
def test_the_element_of_a_stored_letter_is_what_was_buried(element: bytes) -> None:
    stored = letter_about(element).encode()
    assert DeadLetter.decode(stored).element == element
    assert DeadLetter.decode(stored).size_bytes == len(element)


@pytest.mark.parametrize("element", [b"\xff", "ü".encode(), b"", b"\x00"])
def test_a_letter_reads_back_as_it_was_written(element: bytes) -> None:
    letter = letter_about(element, sessions=(SESSION,))
    assert DeadLetter.decode(letter.encode()) == letter
    assert DeadLetter.decode(letter.encode()).encode() == letter.encode(), "it is found again by its stored form"


def test_a_text_is_kept_as_text_and_other_bytes_in_base64() -> None:
    assert (letter_about(b"text").text, letter_about(b"text").base64) == ("text", None)
    assert (letter_about(b"\xff\x00").text, letter_about(b"\xff\x00").base64) == (None, "/wA=")


def test_a_session_named_for_both_tables_is_listed_once() -> None:
    assert letter_about(b"x", sessions=(SESSION, SESSION)).session_ids == (str(SESSION),)


def test_the_id_tells_letters_apart_by_element_and_time() -> None:
    ids = {
        letter_about(b"a").letter_id,
        letter_about(b"b").letter_id,
        letter_about(b"a", buried_at=NOON.replace(microsecond=251_000)).letter_id,
    }
    assert len(ids) == 3
    assert all(len(letter_id) == ID_DIGITS for letter_id in ids)


class TestLongElement:
    """The letter of an element that stays in Redis."""

    LETTER = DeadLetter.about_long(
        "a digest", size_bytes=600_000, reason="too_large", detail="why", buried_at=NOON, session_ids=(SESSION, SESSION)
    )

    def test_it_names_the_key_and_the_size_instead_of_the_bytes(self) -> None:
        letter = self.LETTER
        assert letter.element_key == f"wearon:tasks:dead:{letter.letter_id}"
        assert (letter.text, letter.base64, letter.element, letter.size_bytes) == (None, None, None, 600_000)
        assert letter.session_ids == (str(SESSION),)

    def test_it_reads_back_as_it_was_written(self) -> None:
        assert DeadLetter.decode(self.LETTER.encode()) == self.LETTER

    def test_the_id_tells_letters_apart_by_digest_and_time(self) -> None:
        def about(digest: str, buried_at: datetime) -> str:
            return DeadLetter.about_long(
                digest, size_bytes=1, reason="r", detail="d", buried_at=buried_at, session_ids=()
            ).letter_id

        assert len({about("a", NOON), about("b", NOON), about("a", NOON.replace(microsecond=1))}) == 3


@pytest.mark.parametrize(
    ("inline", "element"), [('"text": "x", "base64": null', b"x"), ('"text": null, "base64": "/wA="', b"\xff\x00")]
)
def test_a_letter_of_a_worker_that_kept_every_element_inside_can_still_be_read(inline: str, element: bytes) -> None:
    stored = (
        '{"letter_id": "3fa9b07c11d2", "reason": "not_json", "detail": "why", "buried_at": "2026-11-21T12:00:00+00:00",'
        f' "session_ids": [], "request_id": null, "size_bytes": 1, {inline}}}'
    )
    letter = DeadLetter.decode(stored.encode())
    assert (letter.element, letter.element_key) == (element, None)


@pytest.mark.parametrize("letter", [letter_about(b"x"), TestLongElement.LETTER])
def test_a_stored_letter_begins_with_its_id(letter: DeadLetter) -> None:
    assert letter.encode().startswith(DeadLetter.opening(letter.letter_id))


def test_the_time_says_its_time_zone() -> None:
    assert letter_about(b"x").buried_at == "2026-11-21T12:00:00+00:00"
