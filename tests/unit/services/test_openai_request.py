"""The form that is sent to the provider."""

import asyncio
from email import message_from_bytes
from email.message import Message

import pytest

from models.image_models import KNOWN_MODELS, Effort
from services.providers.openai.request import DEFAULT_PROMPT, EditForm, build_edit_form

PERSON = b"\xff\xd8\xff person \r\n--not-a-boundary\r\n \xff\xd9"
GARMENT = b"\xff\xd8\xff garment \xff\xd9"


def make_form(model: str = "gpt-image-1.5", prompt: str = "wear it", effort: Effort | None = None) -> EditForm:
    return build_edit_form(
        KNOWN_MODELS[model],
        effort or Effort(),
        images=[PERSON, GARMENT],
        person_size=(683, 1024),
        prompt=prompt,
        safety_identifier="a" * 64,
    )


async def read(form: EditForm) -> bytes:
    return b"".join([part async for part in form])


def parse(form: EditForm) -> list[Message]:
    body = asyncio.run(read(form))
    message = message_from_bytes(f"Content-Type: {form.content_type}\r\n\r\n".encode() + body)
    parts = message.get_payload()
    assert isinstance(parts, list)
    return [part for part in parts if isinstance(part, Message)]


def fields(form: EditForm) -> dict[str, str]:
    texts = {}
    for part in parse(form):
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if part.get_filename() is None and isinstance(content, bytes):
            texts[str(name)] = content.decode()
    return texts


def test_the_form_holds_every_parameter_of_the_profile() -> None:
    assert fields(make_form()) == {
        "model": "gpt-image-1.5",
        "prompt": "wear it",
        "size": "1024x1536",
        "quality": "medium",
        "output_format": "jpeg",
        "output_compression": "90",
        "n": "1",
        "safety_identifier": "a" * 64,
        "input_fidelity": "high",
    }


@pytest.mark.parametrize("model", ["gpt-image-2.6-sunburst", "gpt-image-2.6-flare"])
def test_a_model_that_plans_is_told_how_much(model: str) -> None:
    """Left out, it would plan at ``high``."""
    assert fields(make_form(model))["complexity"] == "medium"
    wanted = fields(make_form(model, effort=Effort(quality="xhigh", complexity="low")))
    assert (wanted["quality"], wanted["complexity"]) == ("xhigh", "low")


@pytest.mark.parametrize("model", sorted(set(KNOWN_MODELS) - {"gpt-image-2.6-sunburst", "gpt-image-2.6-flare"}))
def test_complexity_is_left_out_where_the_model_does_not_know_it(model: str) -> None:
    assert "complexity" not in fields(make_form(model, effort=Effort(complexity="high")))


@pytest.mark.parametrize("model", sorted(set(KNOWN_MODELS) - {"gpt-image-1.5"}))
def test_input_fidelity_is_left_out_where_the_model_refuses_it(model: str) -> None:
    assert "input_fidelity" not in fields(make_form(model))


def test_the_pictures_follow_in_order_as_jpegs() -> None:
    pictures = [part for part in parse(make_form()) if part.get_filename() is not None]
    assert [part.get_param("name", header="content-disposition") for part in pictures] == ["image[]", "image[]"]
    assert [part.get_content_type() for part in pictures] == ["image/jpeg", "image/jpeg"]
    assert [part.get_payload(decode=True) for part in pictures] == [PERSON, GARMENT]


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_a_blank_prompt_becomes_the_default_one(prompt: str) -> None:
    assert fields(make_form(prompt=prompt))["prompt"] == DEFAULT_PROMPT


def test_a_prompt_is_sent_as_it_is() -> None:
    prompt = 'Kleid für Zoë 👗\r\nContent-Disposition: form-data; name="n"\r\n\r\n10'
    assert fields(make_form(prompt=prompt))["prompt"] == prompt
    assert fields(make_form(prompt=prompt))["n"] == "1"


def test_the_form_can_be_sent_again_and_knows_its_size() -> None:
    form = make_form()
    first, second = asyncio.run(read(form)), asyncio.run(read(form))
    assert first == second
    assert len(first) == form.size_bytes
    assert form.image_count == 2


def test_the_pictures_are_not_copied() -> None:
    assert any(part is PERSON for part in make_form().parts)


def test_the_pictures_do_not_show_in_a_log_of_the_form() -> None:
    assert "person" not in repr(make_form())
