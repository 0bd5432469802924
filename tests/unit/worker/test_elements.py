"""What each queue element is taken for, and which session a bad one belongs to."""

import json
from typing import Any
from uuid import UUID

import pytest

from models.generation import Channel, SessionRef
from tests.support.payloads import MISSING, PERSON_URL, SESSION_ID, SIGNATURE, b2b, b2c, encode
from worker.elements import (
    MAX_ELEMENT_BYTES,
    MAX_SEARCHED_BYTES,
    Accepted,
    Rejected,
    read_element,
    read_ends,
    session_id_in_ends,
    session_id_of,
    sessions_in_text,
)

SESSION = UUID(SESSION_ID)
IN_B2B = SessionRef(Channel.B2B, SESSION)
IN_B2C = SessionRef(Channel.B2C, SESSION)
IN_EITHER = (IN_B2B, IN_B2C)
OTHER_SESSION_ID = "11111111-2222-4333-8444-555555555555"


def rejected(element: bytes) -> Rejected:
    decision = read_element(element)
    assert isinstance(decision, Rejected)
    return decision


@pytest.mark.parametrize("payload", [b2c(), b2b(), b2c(store_id=None), b2b(user_id=None), b2c(prompt=""), b2c(new=[1])])
def test_a_task_as_the_platform_writes_it_is_accepted(payload: dict[str, Any]) -> None:
    decision = read_element(encode(payload))
    assert isinstance(decision, Accepted)
    assert decision.task.session == SessionRef(Channel(payload["channel"]), SESSION)


FIELD_FAULTS = [
    pytest.param(b2c(task_id="not-a-uuid"), "task_id", id="task_id no UUID"),
    pytest.param(b2c(task_id=MISSING), "task_id", id="task_id missing"),
    pytest.param(b2c(session_id=7), "session_id", id="session_id a number"),
    pytest.param(b2c(channel="b2x"), "channel", id="unknown channel"),
    pytest.param(b2c(channel="B2C"), "channel", id="channel in capitals"),
    pytest.param(b2c(channel=None), "channel", id="channel null"),
    pytest.param(b2c(channel=["b2c"]), "channel", id="channel a list"),
    pytest.param(b2c(channel={}), "channel", id="channel an object"),
    pytest.param(b2c(user_id=MISSING), "user_id", id="b2c without its user"),
    pytest.param(b2c(user_id=None), "user_id", id="b2c with a null user"),
    pytest.param(b2b(store_id=MISSING), "store_id", id="b2b without its store"),
    pytest.param(b2b(store_id=MISSING, user_id=SESSION_ID), "store_id", id="b2b with a user instead of its store"),
    pytest.param(b2c(image_urls=[]), "image_urls", id="no picture"),
    pytest.param(b2c(image_urls=[PERSON_URL] * 11), "image_urls", id="eleven pictures"),
    pytest.param(b2c(image_urls=PERSON_URL), "image_urls", id="a URL instead of a list"),
    pytest.param(b2c(image_urls=[None]), "image_urls.0", id="a null for a URL"),
    pytest.param(b2c(image_urls=["file:///etc/passwd"]), "image_urls.0", id="a file"),
    pytest.param(b2c(image_urls=[PERSON_URL, "https://"]), "image_urls.1", id="a URL without host"),
    pytest.param(b2c(image_urls=["https://a/" + "x" * 8_192]), "image_urls.0", id="a URL too long"),
    pytest.param(b2c(prompt=None), "prompt", id="prompt null"),
    pytest.param(b2c(prompt="x" * 32_001), "prompt", id="prompt too long"),
    pytest.param(b2c(request_id=""), "request_id", id="request_id empty"),
    pytest.param(b2c(request_id="x" * 257), "request_id", id="request_id too long"),
    pytest.param(b2c(version="1"), "version", id="version as text"),
    pytest.param(b2c(version=1.5), "version", id="version a fraction"),
    pytest.param(b2c(version=True), "version", id="version true"),
    pytest.param(b2c(version=0), "version", id="version 0"),
    pytest.param(b2c(version=MISSING), "version", id="version missing"),
    pytest.param(b2c(created_at="yesterday"), "created_at", id="created_at no date"),
    pytest.param(b2c(created_at="2026-11-21T10:00:00"), "created_at", id="created_at without a time zone"),
    pytest.param(b2c(created_at=1_763_719_200), "created_at", id="created_at a number"),
]


@pytest.mark.parametrize(("payload", "field"), FIELD_FAULTS)
def test_a_wrong_field_is_rejected_and_named(payload: dict[str, Any], field: str) -> None:
    decision = rejected(encode(payload))
    assert decision.reason == "invalid_fields"
    assert field in decision.detail


@pytest.mark.parametrize("version", [2, 3, 10**6])
def test_a_newer_version_is_refused_whatever_else_it_says(version: int) -> None:
    decision = rejected(encode({"version": version, "session_id": SESSION_ID, "channel": "b2c", "pictures": []}))
    assert decision.reason == "unsupported_version"
    assert f"version {version}" in decision.detail
    assert decision.sessions == (IN_B2C,)


UNREADABLE = [
    pytest.param(b"", "not_json", id="nothing"),
    pytest.param(b"hello", "not_json", id="a word"),
    pytest.param(b"\xff\xfe\x00", "not_json", id="bytes that are no text"),
    pytest.param(b"[" * 200_000, "not_json", id="nested beyond reason"),
    pytest.param(b"9" * 10_000, "not_json", id="a number beyond reason"),
    pytest.param(b"null", "not_an_object", id="null"),
    pytest.param(b"[]", "not_an_object", id="a list"),
    pytest.param(b'"text"', "not_an_object", id="a text"),
    pytest.param(b"12", "not_an_object", id="a number"),
    pytest.param(b"{}", "invalid_fields", id="an empty object"),
    pytest.param(b" " * (MAX_ELEMENT_BYTES + 1), "too_large", id="a byte too many"),
    pytest.param(json.dumps(b2c()).encode("utf-16"), "invalid_fields", id="JSON in UTF-16"),
]


@pytest.mark.parametrize(("element", "reason"), UNREADABLE)
def test_what_is_no_task_is_rejected_with_its_reason(element: bytes, reason: str) -> None:
    assert rejected(element).reason == reason


def test_the_largest_task_the_contract_allows_is_not_too_large() -> None:
    four_bytes, six_bytes = "\U0001f457", "\x01"
    largest = b2c(
        image_urls=[f"https://a/{four_bytes * 8_182}"] * 10, prompt=six_bytes * 32_000, request_id=six_bytes * 256
    )
    as_json_stringify_writes_it = json.dumps(largest, ensure_ascii=False, separators=(",", ":")).encode()
    assert isinstance(read_element(as_json_stringify_writes_it), Accepted)


SESSIONS = [
    pytest.param(encode(b2c(version=9)), (IN_B2C,), id="its own table when the channel is known"),
    pytest.param(encode(b2b(prompt=None)), (IN_B2B,), id="its own table, b2b"),
    pytest.param(encode(b2c(channel="b2x")), IN_EITHER, id="both tables when the channel is unknown"),
    pytest.param(encode(b2c(channel=[])), IN_EITHER, id="both tables when the channel is a list"),
    pytest.param(encode(b2c(channel=MISSING)), IN_EITHER, id="both tables when the channel is missing"),
    pytest.param(encode(b2c(session_id=SESSION_ID.upper(), version=2)), (IN_B2C,), id="an id in capitals"),
    pytest.param(encode(b2c())[:-1], IN_EITHER, id="cut off"),
    pytest.param(encode(b2c()) + b"}", IN_EITHER, id="too long by one"),
    pytest.param(encode(b2c(session_id=5)), (), id="no id"),
    pytest.param(encode(b2c(session_id="0e3f7d8a")), (), id="half an id"),
    pytest.param(encode([b2c()]), IN_EITHER, id="a list of one task"),
    pytest.param(encode([b2c(), b2c(session_id=OTHER_SESSION_ID)]), (), id="a list of two tasks"),
    pytest.param(encode(encode(b2c()).decode()), IN_EITHER, id="serialised twice"),
    pytest.param(encode({"task": b2c()}), IN_EITHER, id="wrapped in another object"),
    pytest.param(encode({"sessionId": SESSION_ID, "channel": "b2c"}), IN_EITHER, id="the platform's own spelling"),
    pytest.param(encode(b2c(session_id=MISSING, prompt=f'"session_id": "{SESSION_ID}"')), (), id="an id in a prompt"),
    pytest.param(encode(b2c()) + encode(b2c(session_id=OTHER_SESSION_ID)), (), id="two ids: nobody knows which"),
    pytest.param(encode(b2c()) * 2, IN_EITHER, id="the same id twice"),
    pytest.param(encode(b2c(prompt="x" * MAX_ELEMENT_BYTES)), IN_EITHER, id="too large, id near an end"),
]


@pytest.mark.parametrize(("element", "sessions"), SESSIONS)
def test_the_session_of_a_bad_element_is_found_when_it_can_be(element: bytes, sessions: tuple[SessionRef, ...]) -> None:
    assert rejected(element).sessions == sessions


def test_only_the_ends_of_a_huge_element_are_searched() -> None:
    name = encode({"session_id": SESSION_ID})
    assert sessions_in_text(b" " * MAX_SEARCHED_BYTES + name + b" " * MAX_SEARCHED_BYTES) == ()
    assert sessions_in_text(b" " * 3 * MAX_SEARCHED_BYTES + name) == IN_EITHER


NAMED_AT_AN_END = [
    pytest.param(encode(b2c(padding="x" * MAX_ELEMENT_BYTES)), SESSION, id="near the beginning"),
    pytest.param(b" " * MAX_ELEMENT_BYTES + encode({"session_id": SESSION_ID}), SESSION, id="near the end"),
    pytest.param(encode(b2c(a="x" * MAX_ELEMENT_BYTES, sessionId=SESSION_ID)), SESSION, id="at both ends"),
    pytest.param(encode(b2c(a="x" * MAX_ELEMENT_BYTES, sessionId=OTHER_SESSION_ID)), None, id="two: nobody knows"),
    pytest.param(b"\xff" * (MAX_ELEMENT_BYTES + 1), None, id="nowhere"),
]


@pytest.mark.parametrize(("element", "session_id"), NAMED_AT_AN_END)
def test_both_ends_of_a_huge_element_say_as_much_as_the_whole(element: bytes, session_id: UUID | None) -> None:
    head, tail = element[:MAX_SEARCHED_BYTES], element[-MAX_SEARCHED_BYTES:]
    assert read_ends(len(element), head, tail) == rejected(element)
    assert session_id_in_ends(head, tail) == session_id


@pytest.mark.parametrize(("request_id", "kept"), [("req_1", "req_1"), (7, None), (None, None), (["x"], None)])
def test_the_request_id_of_a_bad_element_is_kept_when_it_is_text(request_id: object, kept: str | None) -> None:
    assert rejected(encode(b2c(version=2, request_id=request_id))).request_id == kept


@pytest.mark.parametrize(
    "payload",
    [
        b2c(image_urls=[f"https://user:{SIGNATURE}@[bracket]s/"]),
        b2c(image_urls=[f"https://{SIGNATURE}\u2100/"]),
        b2c(image_urls=[f"ftp://a/?token={SIGNATURE}"]),
        b2c(task_id=SIGNATURE, session_id=SIGNATURE, channel=SIGNATURE, version=SIGNATURE, created_at=SIGNATURE),
        b2c(channel=SIGNATURE, **{SIGNATURE: 1}),
    ],
)
def test_a_detail_repeats_no_value(payload: dict[str, Any]) -> None:
    assert SIGNATURE not in rejected(encode(payload)).detail
    assert "bracket" not in rejected(encode(payload)).detail


@pytest.mark.parametrize(
    ("element", "session_id"),
    [
        (encode(b2c()), SESSION),
        (encode(b2b(version=2)), SESSION),
        (encode(b2c())[:-1], SESSION),
        (encode(b2c(session_id=None)), None),
        (encode([SESSION_ID]), None),
        (encode([b2c()]), SESSION),
        (encode(encode(b2c()).decode()), SESSION),
        (b"\xff", None),
    ],
)
def test_a_waiting_element_tells_which_session_it_is_about(element: bytes, session_id: UUID | None) -> None:
    assert session_id_of(element) == session_id
