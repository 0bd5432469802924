"""What the published schema accepts the worker accepts, and what it refuses the worker refuses.

Where the two differ, the difference is listed here: the worker is more generous in a few spellings no producer needs.
"""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts.generate import json_schema
from models.task_payload import B2bTask
from tests.support.contract_formats import FORMATS
from tests.support.payloads import MISSING, PERSON_URL, SESSION_ID, STORE_ID, USER_ID, b2b, b2c, encode
from worker.elements import Accepted, read_element

SCHEMA: Final = Draft202012Validator(json_schema(), format_checker=FORMATS)


def fits_schema(payload: object) -> bool:
    return SCHEMA.is_valid(payload)


def fits_model(payload: object) -> bool:
    return isinstance(read_element(encode(payload)), Accepted)


ACCEPTED = [
    pytest.param(b2c(), id="b2c"),
    pytest.param(b2b(), id="b2b"),
    pytest.param(b2c(store_id=None), id="b2c with a null store"),
    pytest.param(b2b(user_id=None), id="b2b with a null user"),
    pytest.param(b2b(user_id=USER_ID), id="b2b that names a user too"),
    pytest.param(b2c(prompt=""), id="an empty prompt"),
    pytest.param(b2c(prompt="\U0001f457" * 32_000), id="the longest prompt, counted in characters"),
    pytest.param(b2c(image_urls=[PERSON_URL]), id="one picture"),
    pytest.param(b2c(image_urls=[PERSON_URL] * 10), id="ten pictures"),
    pytest.param(b2c(image_urls=["https://a/" + "x" * 8_182]), id="the longest URL"),
    pytest.param(b2c(image_urls=["http://127.0.0.1:5000/p.jpg"]), id="a URL with a port: refused at the download"),
    pytest.param(b2c(request_id="x" * 256), id="the longest request id"),
    pytest.param(b2c(created_at="2026-11-21T10:00:00Z"), id="whole seconds"),
    pytest.param(b2c(created_at="2026-11-21T10:00:00.123+02:00"), id="an offset"),
    pytest.param(b2c(session_id=SESSION_ID.upper()), id="an id in capitals"),
    pytest.param(b2c(new_field={"any": ["thing"]}), id="a field from the future"),
]

REFUSED = [
    *(pytest.param(b2c(**{name: MISSING}), id=f"{name} missing") for name in b2c() if name != "prompt"),
    pytest.param(b2c(prompt=MISSING), id="prompt missing"),
    pytest.param(b2b(store_id=MISSING), id="b2b without its store"),
    pytest.param(b2b(store_id=None), id="b2b with a null store"),
    pytest.param(b2b(store_id=MISSING, user_id=USER_ID), id="b2b with a user only"),
    pytest.param(b2c(user_id=MISSING, store_id=STORE_ID), id="b2c with a store only"),
    pytest.param(b2c(user_id=None), id="b2c with a null user"),
    *(pytest.param(b2c(**{name: None}), id=f"{name} null") for name in b2c()),
    *(pytest.param(b2c(**{name: 7}), id=f"{name} a number") for name in b2c() if name != "version"),
    *(
        pytest.param(b2c(**{name: "text"}), id=f"{name} a word")
        for name in b2c()
        if name not in ("prompt", "request_id")
    ),
    *(pytest.param(b2c(**{name: [PERSON_URL]}), id=f"{name} a list") for name in b2c() if name != "image_urls"),
    *(pytest.param(b2c(**{name: {}}), id=f"{name} an object") for name in b2c()),
    pytest.param(b2c(store_id="text"), id="b2c with a store that is no UUID"),
    pytest.param(b2c(channel="B2C"), id="channel in capitals"),
    pytest.param(b2c(version=2), id="a newer version"),
    pytest.param(b2c(version=0), id="version 0"),
    pytest.param(b2c(version=True), id="version true"),
    pytest.param(b2c(version="1"), id="version as text"),
    pytest.param(b2c(version=1.5), id="version a fraction"),
    pytest.param(b2c(image_urls=[]), id="no picture"),
    pytest.param(b2c(image_urls=[PERSON_URL] * 11), id="eleven pictures"),
    pytest.param(b2c(image_urls=[""]), id="an empty URL"),
    pytest.param(b2c(image_urls=[7]), id="a number for a URL"),
    pytest.param(b2c(image_urls=["ftp://a/b"]), id="another scheme"),
    pytest.param(b2c(image_urls=["data:image/png;base64,AAAA"]), id="a picture in a data URL"),
    pytest.param(b2c(image_urls=["/p.jpg"]), id="a relative URL"),
    pytest.param(b2c(image_urls=["https:///p.jpg"]), id="a URL without host"),
    pytest.param(b2c(image_urls=["https://a/" + "x" * 8_183]), id="a URL too long"),
    pytest.param(b2c(prompt="x" * 32_001), id="a prompt too long"),
    pytest.param(b2c(request_id=""), id="an empty request id"),
    pytest.param(b2c(request_id="x" * 257), id="a request id too long"),
    pytest.param(b2c(created_at="2026-11-21T10:00:00"), id="no time zone"),
    pytest.param(b2c(created_at="2026-11-21"), id="a day"),
    pytest.param(b2c(created_at="2026-02-30T10:00:00Z"), id="a day that is none"),
    pytest.param([b2c()], id="a list"),
    pytest.param(None, id="null"),
    pytest.param("text", id="a text"),
]

ONLY_THE_WORKER_TAKES = [
    pytest.param(b2c(user_id=USER_ID.replace("-", "")), id="a UUID without dashes"),
    pytest.param(b2c(user_id=f"urn:uuid:{USER_ID}"), id="a UUID as a URN"),
    pytest.param(b2c(created_at="2026-11-21 10:00:00Z"), id="a space for the T"),
    pytest.param(b2c(created_at="2026-11-21T10:00Z"), id="no seconds"),
    pytest.param(b2c(created_at="1763719200"), id="Unix time as text"),
    pytest.param(b2c(image_urls=["HTTPS://a/b"]), id="a scheme in capitals"),
    pytest.param(b2c(image_urls=["https://a/ü b"]), id="characters that belong percent-encoded"),
]


@pytest.mark.parametrize("payload", ACCEPTED)
def test_both_accept_what_the_contract_allows(payload: object) -> None:
    assert (fits_schema(payload), fits_model(payload)) == (True, True)


@pytest.mark.parametrize("payload", REFUSED)
def test_both_refuse_what_the_contract_does_not_allow(payload: object) -> None:
    assert (fits_schema(payload), fits_model(payload)) == (False, False)


@pytest.mark.parametrize("payload", ONLY_THE_WORKER_TAKES)
def test_the_worker_takes_some_spellings_the_schema_does_not(payload: object) -> None:
    assert (fits_schema(payload), fits_model(payload)) == (False, True)


def test_the_schema_takes_one_spelling_the_worker_does_not() -> None:
    # To JSON Schema 1.0 is an integer. JavaScript writes that number as 1.
    assert (fits_schema(b2c(version=1.0)), fits_model(b2c(version=1.0))) == (True, False)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
).filter(lambda value: not (isinstance(value, float) and value == 1.0))


@settings(deadline=None)
@given(
    payload=st.sampled_from([b2c(), b2b()]),
    field=st.sampled_from(sorted(B2bTask.model_fields)),
    value=JSON_VALUES,
)
def test_a_producer_that_keeps_to_the_schema_is_never_refused(
    payload: dict[str, Any], field: str, value: object
) -> None:
    changed = {**payload, field: value}
    if fits_schema(changed):
        assert fits_model(changed)
    elif not isinstance(value, str | list):  # texts: see the generous spellings above
        assert not fits_model(changed)
