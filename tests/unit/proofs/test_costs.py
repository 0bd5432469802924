"""What a picture costs by default, and that the document says what the code does."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from models.image_models import KNOWN_MODELS
from proofs.costs import DOCUMENT, PROMPT, cost_usd, person_and_garment, up_to_date
from services.providers.openai.request import DEFAULT_PROMPT
from worker.execution.pipeline import MAX_SIDE_PX

MOST_USD = Decimal("0.075")
DEFAULTS = Settings.model_fields
DEFAULT_MODELS = str(DEFAULTS["openai_image_models"].default).split(",")
QUALITY = str(DEFAULTS["openai_image_quality"].default)

SIDES_PX = st.integers(1, MAX_SIDE_PX)


@pytest.mark.parametrize("model", DEFAULT_MODELS)
@given(person=st.tuples(SIDES_PX, SIDES_PX), garment=st.tuples(SIDES_PX, SIDES_PX))
def test_by_default_two_pictures_of_any_shape_cost_less_than_seven_and_a_half_cents(
    model: str, person: tuple[int, int], garment: tuple[int, int]
) -> None:
    assert cost_usd(KNOWN_MODELS[model], QUALITY, [person, garment]) <= MOST_USD


@pytest.mark.parametrize("person", [(1024, 1024), (1000, 1024), (940, 1024), (850, 1024), (683, 1024), (1024, 576)])
def test_the_dearest_shapes_stay_below_it_too(person: tuple[int, int]) -> None:
    assert cost_usd(KNOWN_MODELS[DEFAULT_MODELS[0]], QUALITY, [person, (1024, 1024)]) <= MOST_USD


def test_the_default_before_it_cost_twice_as_much() -> None:
    cost = cost_usd(KNOWN_MODELS["gpt-image-1.5"], "medium", [(683, 1024), (683, 1024)])
    assert Decimal("0.15") < cost < Decimal("0.16")


def test_an_input_below_1024_pixels_saves_nothing_until_512() -> None:
    """Why inputs are sent at 1024 pixels, and why not at more."""
    model = KNOWN_MODELS[DEFAULT_MODELS[0]]
    costs = {side: cost_usd(model, QUALITY, person_and_garment(side)) for side in (384, 512, 768, 1024, 1536)}
    assert costs[384] < costs[512] == costs[768] == costs[1024] < costs[1536]
    assert MAX_SIDE_PX == 1024


def test_the_table_is_worked_out_for_a_prompt_as_long_as_the_workers_own() -> None:
    assert abs(len(PROMPT) - len(DEFAULT_PROMPT)) < 40


def test_the_document_has_the_table_that_the_code_gives() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert up_to_date(text) == text, "make costs writes it anew"
