"""What holds for every queue element, not only for those in the tables."""

import json
from datetime import UTC
from typing import Any
from uuid import UUID

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from models.generation import Channel
from models.task_payload import MAX_IMAGES, SUPPORTED_VERSION, B2bTask, GenerationTask
from tests.support.payloads import SESSION_ID, b2b, b2c, encode
from worker.elements import Accepted, Rejected, read_element, session_id_of

# Machines that run the tests may be busy; what is tested is not speed.
unhurried = settings(deadline=None)

TEXT = st.text(st.characters(codec="utf-8"))
UUIDS = st.uuids().map(str)
URLS = st.builds(
    lambda scheme, host, rest: f"{scheme}://{host}/{rest}",
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a", "shop.example", "127.0.0.1:8000", "[::1]"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted(B2bTask.model_fields))
PLAIN_TASKS = st.sampled_from([b2c(), b2b()])


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, Any]:
    """Any task the contract allows."""
    channel, other = draw(st.sampled_from([("b2b", "user_id"), ("b2c", "store_id")]))
    owner = {"b2b": "store_id", "b2c": "user_id"}[channel]
    payload = {
        "task_id": draw(UUIDS),
        "channel": channel,
        owner: draw(UUIDS),
        "session_id": draw(UUIDS),
        "image_urls": draw(st.lists(URLS, min_size=1, max_size=MAX_IMAGES)),
        "prompt": draw(TEXT),
        "request_id": draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=256)),
        "version": SUPPORTED_VERSION,
        "created_at": draw(st.datetimes(timezones=st.just(UTC))).isoformat().replace("+00:00", "Z"),
    }
    if draw(st.booleans()):
        payload[other] = None
    names = draw(st.permutations(sorted(payload)))
    return {name: payload[name] for name in names}


def accepted(element: bytes) -> GenerationTask:
    decision = read_element(element)
    assert isinstance(decision, Accepted), decision
    return decision.task


def rejected(element: bytes) -> Rejected:
    decision = read_element(element)
    assert isinstance(decision, Rejected), decision
    return decision


def named_sessions(element: bytes) -> set[UUID]:
    """The sessions that will get a result or their credit back because of this element."""
    decision = read_element(element)
    if isinstance(decision, Accepted):
        return {decision.task.session_id}
    return {session.session_id for session in decision.sessions}


@unhurried
@given(st.binary() | JSON_VALUES.map(encode) | st.text(st.characters(codec="utf-8")).map(str.encode))
@example(encode(b2c(channel=[])))
@example(encode(b2c(channel={}, version=2)))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 5_000)
@example(b'"\\ud800"')
@example("{}".encode("utf-16"))
def test_no_bytes_whatever_stop_the_consumer(element: bytes) -> None:
    assert isinstance(read_element(element), Accepted | Rejected)
    session_id_of(element)


@unhurried
@given(PLAIN_TASKS, st.dictionaries(FIELDS, JSON_VALUES, max_size=5))
def test_no_combination_of_wrong_fields_stops_the_consumer(payload: dict[str, Any], wrong: dict[str, Any]) -> None:
    decision = read_element(encode({**payload, **wrong}))
    assert isinstance(decision, Accepted | Rejected)


@unhurried
@given(PLAIN_TASKS, st.dictionaries(FIELDS.filter("session_id".__ne__), JSON_VALUES, max_size=5))
def test_a_session_that_is_named_is_never_lost_whatever_the_other_fields_are(
    payload: dict[str, Any], wrong: dict[str, Any]
) -> None:
    element = encode({**payload, **wrong})
    assert named_sessions(element) == {UUID(SESSION_ID)}
    assert session_id_of(element) == UUID(SESSION_ID), "and recovery sees that its task still waits"


@unhurried
@given(PLAIN_TASKS, st.binary(max_size=20), st.binary(max_size=20), st.integers(0, 40))
@example(b2c(), b"[", b"]", 0)
@example(b2c(), b'{"task": ', b"}", 0)
def test_a_session_that_is_named_is_never_lost_when_the_element_is_damaged_around_it(
    payload: dict[str, Any], before: bytes, after: bytes, cut: int
) -> None:
    whole = encode(payload)
    damaged = before + whole[: len(whole) - cut] + after
    assume(b"session_id" not in before + after)
    assert named_sessions(damaged) == {UUID(SESSION_ID)}


@unhurried
@given(tasks())
def test_every_task_the_contract_allows_is_understood_as_it_was_meant(payload: dict[str, Any]) -> None:
    task = accepted(encode(payload))
    assert json.loads(task.model_dump_json(exclude_none=True, exclude={"created_at"})) == {
        name: value for name, value in payload.items() if value is not None and name != "created_at"
    }
    assert task.created_at.isoformat().replace("+00:00", "Z") == payload["created_at"]
    assert str(task.owner_id) == payload["store_id" if task.channel is Channel.B2B else "user_id"]


@unhurried
@given(tasks())
def test_a_task_written_out_again_is_the_same_task(payload: dict[str, Any]) -> None:
    task = accepted(encode(payload))
    assert accepted(task.model_dump_json().encode()) == task


@unhurried
@given(tasks())
def test_the_spelling_of_the_json_makes_no_difference(payload: dict[str, Any]) -> None:
    as_javascript_writes_it = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    spread_out = json.dumps(payload, indent=4, sort_keys=True).encode()
    assert accepted(as_javascript_writes_it) == accepted(spread_out)


@unhurried
@given(tasks(), st.dictionaries(TEXT, JSON_VALUES.filter(lambda value: "\\ud" not in json.dumps(value)), max_size=4))
def test_keys_nobody_knows_yet_change_nothing(payload: dict[str, Any], extra: dict[str, Any]) -> None:
    unknown = {name: value for name, value in extra.items() if name not in B2bTask.model_fields}
    assert accepted(encode({**unknown, **payload})) == accepted(encode(payload))


@unhurried
@given(
    tasks(),
    st.sampled_from(["task_id", "session_id", "image_urls", "prompt", "request_id", "created_at"]),
    st.integers(),
)
def test_a_number_is_never_taken_for_a_text_or_a_list(payload: dict[str, Any], field: str, number: int) -> None:
    assert field in rejected(encode({**payload, field: number})).detail


@unhurried
@given(tasks(), st.integers(1, SUPPORTED_VERSION).map(str) | st.booleans() | st.floats() | st.none())
def test_a_version_is_an_integer_and_nothing_like_one(payload: dict[str, Any], version: object) -> None:
    assert rejected(encode({**payload, "version": version})).reason == "invalid_fields"


@unhurried
@given(tasks(), st.integers(min_value=SUPPORTED_VERSION + 1), st.dictionaries(FIELDS, JSON_VALUES, max_size=3))
def test_a_newer_version_is_refused_as_such_whatever_it_means_by_the_fields(
    payload: dict[str, Any], version: int, changed: dict[str, Any]
) -> None:
    assert rejected(encode({**payload, **changed, "version": version})).reason == "unsupported_version"


@unhurried
@given(tasks(), st.integers(max_value=0))
def test_there_is_no_version_before_the_first(payload: dict[str, Any], version: int) -> None:
    assert rejected(encode({**payload, "version": version})).reason == "invalid_fields"


@unhurried
@given(tasks(), st.booleans())
def test_a_task_without_the_owner_its_channel_asks_for_is_refused(payload: dict[str, Any], null: bool) -> None:
    owner = {"b2b": "store_id", "b2c": "user_id"}[payload["channel"]]
    other = {"b2b": "user_id", "b2c": "store_id"}[payload["channel"]]
    without = {**payload, owner: None, other: payload[owner]}
    if not null:
        del without[owner]
    assert f"{payload['channel']}.{owner}: " in rejected(encode(without)).detail


SECRETS = st.text("0123456789abcdef", min_size=8, max_size=40).map(lambda digits: f"secret-{digits}")


@unhurried
@given(
    PLAIN_TASKS,
    SECRETS,
    st.lists(FIELDS, min_size=1, unique=True),
    st.sampled_from(["{}", "https://{}@[x]y/", "https://{}\u2100/", "ftp://a/?token={}", "https://[{}/"]),
)
def test_a_detail_never_repeats_what_stood_in_the_element(
    payload: dict[str, Any], secret: str, fields: list[str], form: str
) -> None:
    value = form.format(secret)
    wrong = {field: [value] if field == "image_urls" else value for field in fields}
    for element in (encode({**payload, **wrong}), encode({**payload, **wrong, secret: secret})[:-1]):
        decision = read_element(element)
        assert isinstance(decision, Accepted) or "secret" not in decision.detail
