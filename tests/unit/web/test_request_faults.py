"""What callers are told of a request that is not valid."""

import pytest
from pydantic import ValidationError

from models.size_rec import EstimateBodyRequest
from web.request_faults import MAX_FAULTS_TOLD, NOT_SENT_AS_JSON, Fault, explain, known_fields

URL = "https://storage.example.com/a.jpg"
JSON = "application/json"


def faults_of(body: object) -> list[Fault]:
    """As the framework hands them on: located in the request's body."""
    with pytest.raises(ValidationError) as refusal:
        EstimateBodyRequest.model_validate(body)
    return [{**fault, "loc": ("body", *fault["loc"])} for fault in refusal.value.errors()]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"image_url": URL}, "height_cm is missing."),
        ({"height_cm": 170}, "image_url is missing."),
        ({"image_url": "", "height_cm": 170}, "image_url must be text of 1 to 4096 characters."),
        ({"image_url": 5, "height_cm": 170}, "image_url must be text of 1 to 4096 characters."),
        ({"image_url": URL, "height_cm": 99.9}, "height_cm must be a number from 100 to 250."),
        ({"image_url": URL, "height_cm": None}, "height_cm must be a number from 100 to 250."),
        (
            {"image_url": URL, "height_cm": 170, "weight_kg": "58"},
            "weight_kg must be a number from 30 to 250, or be left out.",
        ),
        (
            {"image_url": URL, "height_cm": 170, "height_measured": "yes"},
            "height_measured must be true or false, or be left out.",
        ),
        ({"image_url": URL, "height_cm": 170, "age": 30}, "there is no field age."),
        ({"image_url": URL, "height_cm": 170, "https://a?token=1": 1}, "there is an unknown field."),
        ({"image_url": URL, "height_cm": 170, "x" * 41: 1}, "there is an unknown field."),
        ({"image_url": URL, "height_cm": 170, "a b": 1, "c d": 1}, "there is an unknown field."),
        ({"height_cm": 7, "age": 30}, "image_url is missing; height_cm must be a number from 100 to 250; there is no"),
        ("text", "The request must be a JSON object with image_url and height_cm."),
    ],
)
def test_each_fault_is_a_plain_sentence(body: object, sentence: str) -> None:
    assert explain(faults_of(body), JSON).startswith(sentence)


def test_no_more_than_five_faults_are_told() -> None:
    body = {f"field{number}": 1 for number in range(1_000)}
    sentence = explain(faults_of(body), JSON)
    assert sentence.count(";") == MAX_FAULTS_TOLD
    assert sentence.endswith("; and more.")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_another_content_type_is_what_the_caller_is_told_first(content_type: str) -> None:
    assert explain(faults_of("text"), content_type) == NOT_SENT_AS_JSON


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/a+json"])
def test_every_way_to_name_json_is_known(content_type: str) -> None:
    assert explain(faults_of({"image_url": URL}), content_type) == "height_cm is missing."


def test_the_log_gets_the_names_of_our_own_fields_only() -> None:
    assert known_fields(faults_of({"height_cm": 7, "s3cret": 1})) == ["height_cm", "image_url"]
