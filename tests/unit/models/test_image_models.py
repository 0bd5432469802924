"""What each image model accepts and costs."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.generation import Usage
from models.image_models import (
    KNOWN_MODELS,
    PIXEL_BUDGET,
    check_complexity,
    check_quality,
    choose_size,
    estimate_cost_usd,
    parse_models,
)

FIXED = KNOWN_MODELS["gpt-image-1.5"]
FREE = KNOWN_MODELS["gpt-image-2.6-sunburst"]


def test_the_default_list_gives_its_profiles_in_order() -> None:
    names = [profile.name for profile in parse_models("gpt-image-2.6-sunburst,gpt-image-2.6-flare")]
    assert names == ["gpt-image-2.6-sunburst", "gpt-image-2.6-flare"]


def test_every_image_model_of_the_providers_own_sdk_that_lives_is_known() -> None:
    """openai-python 3.57.0, ``ImageModel``, without the retired, the mini and the "latest" ones."""
    assert set(KNOWN_MODELS) == {
        "gpt-image-1.5",
        "gpt-image-2",
        "gpt-image-2.5-sunburst",
        "gpt-image-2.5-sunburst-2026-09-08",
        "gpt-image-2.5-flare",
        "gpt-image-2.5-flare-2026-09-08",
        "gpt-image-2.6-sunburst",
        "gpt-image-2.6-flare",
    }


def test_spaces_empty_entries_and_repeats_do_not_matter() -> None:
    names = [profile.name for profile in parse_models(" gpt-image-2 ,, gpt-image-1.5,gpt-image-2,")]
    assert names == ["gpt-image-2", "gpt-image-1.5"]


@pytest.mark.parametrize("text", ["", " , ", "gpt-image-9", "gpt-image-1.5,dall-e-2"])
def test_a_list_that_cannot_be_used_names_the_known_models(text: str) -> None:
    with pytest.raises(ValueError, match=r"known are gpt-image-1\.5, gpt-image-2, .*, gpt-image-2\.6-flare"):
        parse_models(text)


@pytest.mark.parametrize(
    ("width_px", "height_px", "fixed", "free"),
    [
        pytest.param(683, 1024, "1024x1536", "1024x1536", id="portrait 2:3"),
        pytest.param(768, 1024, "1024x1536", "1088x1456", id="portrait 3:4"),
        pytest.param(576, 1024, "1024x1536", "944x1680", id="phone portrait 9:16"),
        pytest.param(1024, 1024, "1024x1024", "944x944", id="square"),
        pytest.param(1024, 900, "1024x1024", "1216x1072", id="nearly square"),
        pytest.param(820, 1024, "1024x1536", "1120x1408", id="portrait 4:5"),
        pytest.param(1024, 683, "1536x1024", "1536x1024", id="landscape"),
        pytest.param(1, 1024, "1024x1536", "736x2128", id="a strip is held within 1:3"),
        pytest.param(1024, 1, "1536x1024", "2128x736", id="a lying strip is held within 3:1"),
    ],
)
def test_the_result_is_shaped_like_the_persons_photo(width_px: int, height_px: int, fixed: str, free: str) -> None:
    assert choose_size(FIXED, width_px, height_px) == fixed
    assert choose_size(FREE, width_px, height_px) == free


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_free_size_is_one_the_provider_allows(width_px: int, height_px: int) -> None:
    width, height = map(int, choose_size(FREE, width_px, height_px).split("x"))
    assert width % 16 == height % 16 == 0
    assert 1 / 3 <= width / height <= 3
    assert 655_360 <= width * height <= 1.02 * PIXEL_BUDGET
    assert max(width, height) <= 3_840


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        ("gpt-image-1.5", Usage(100, 1_000, 1_584), "0.059188"),  # 0.0005 + 0.008 + 0.050688
        ("gpt-image-2", Usage(100, 1_000, 1_584), "0.056020"),
        ("gpt-image-2.6-sunburst", Usage(1, 0, 0), "0.000005"),
        ("gpt-image-1.5", Usage(0, 0, 0), "0.000000"),
        ("gpt-image-2.6-flare", Usage(1_000_000, 1_000_000, 1_000_000), "43.000000"),
    ],
)
def test_the_cost_is_tokens_times_price_with_six_decimals(model: str, usage: Usage, cost: str) -> None:
    assert str(estimate_cost_usd(KNOWN_MODELS[model], usage)) == cost


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(100, 0, 0, cached_text_tokens=100), "0.000125"),
        (Usage(0, 1_000, 0, cached_image_tokens=1_000), "0.002000"),
        (Usage(100, 1_000, 1_584, cached_text_tokens=40, cached_image_tokens=600), "0.052270"),
    ],
)
def test_what_the_provider_had_read_before_costs_less(usage: Usage, cost: str) -> None:
    assert str(estimate_cost_usd(KNOWN_MODELS["gpt-image-2.6-sunburst"], usage)) == cost


def test_every_profile_has_every_price_and_cached_input_is_cheaper() -> None:
    for profile in KNOWN_MODELS.values():
        prices = profile.prices
        assert Decimal(0) < prices.cached_text_in < prices.text_in < prices.image_out
        assert Decimal(0) < prices.cached_image_in < prices.image_in < prices.image_out


@pytest.mark.parametrize(
    ("models", "quality", "complaint"),
    [
        ("gpt-image-2.6-sunburst,gpt-image-2", "xhigh", "the quality of gpt-image-2 cannot be 'xhigh'"),
        ("gpt-image-1.5", "max", "possible are low, medium, high"),
        ("gpt-image-2.6-flare", "auto", "possible are low, medium, high, xhigh, max"),
        ("gpt-image-2.6-flare", "standard", "cannot be 'standard'"),
    ],
)
def test_a_quality_one_of_the_models_does_not_take_is_refused(models: str, quality: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_quality(parse_models(models), quality)


def test_a_quality_every_model_takes_is_accepted() -> None:
    check_quality(parse_models("gpt-image-2.5-sunburst,gpt-image-2.6-flare"), "xhigh")
    check_quality(tuple(KNOWN_MODELS.values()), "medium")


@pytest.mark.parametrize("models", ["gpt-image-2.6-sunburst", "gpt-image-1.5"])
def test_a_complexity_no_model_could_take_is_refused(models: str) -> None:
    with pytest.raises(ValueError, match="cannot be 'max'; possible are low, medium, high"):
        check_complexity(parse_models(models), "max")


def test_a_complexity_is_no_matter_to_models_that_do_not_know_it() -> None:
    check_complexity(tuple(KNOWN_MODELS.values()), "low")
    knowing = {name for name, profile in KNOWN_MODELS.items() if profile.complexities}
    assert knowing == {"gpt-image-2.6-sunburst", "gpt-image-2.6-flare"}


def test_input_fidelity_goes_only_to_the_model_that_documents_it() -> None:
    assert {name for name, profile in KNOWN_MODELS.items() if profile.input_fidelity} == {"gpt-image-1.5"}
