"""The provider's image models as data: what each one accepts and what it costs.

A model is used as its profile says and nowhere else is a model's name compared. Facts and prices: OpenAI's model and
deprecation pages, ``openapi.yaml`` of 2026-08-21 and openai-python 3.57.0 (``ImageModel``, ``image_edit_params``), read
in November 2026.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from models.generation import Usage

TOKENS_PER_PRICE: Final = Decimal(1_000_000)
"""Prices are quoted in US dollars per this many tokens."""

COST_STEP_USD: Final = Decimal("0.000001")
"""``estimated_cost_usd`` is numeric(10,6)."""

PIXEL_BUDGET: Final = 1024 * 1536
"""Free sizes have about the area of the portrait format every model has: sharp enough for a phone's whole screen."""

BILLED_AREA_OFFSET_PX: Final = 2_000_000
SHAPE_BUDGET_PX: Final = 2_900_000
"""From gpt-image-2 on, output is billed by (short side / long side) x (2,000,000 + area) (OpenAI community,
"Gpt-image-2 output pricing calculator"; it gives the published prices, 5.3 cents for 1024x1024 and 4.1 for 1024x1536).
A square is the dearest shape, so the result of a nearly square photo has a smaller area: with it two pictures stay
below 7.5 cents whatever their shape."""

SIDE_STEP_PX: Final = 16
"""Free sizes are multiples of this."""

MAX_SIDE_RATIO: Final = 2.9
"""Free sizes must lie between 1:3 and 3:1; a little less leaves room for rounding to ``SIDE_STEP_PX``."""

STANDARD_SIZES: Final = ((1024, 1024), (1536, 1024), (1024, 1536))
"""(width, height) in pixels that gpt-image-1.5 can make."""

QUALITIES: Final = ("low", "medium", "high")
FINE_QUALITIES: Final = (*QUALITIES, "xhigh", "max")
"""Of 2.5 and later. ``auto`` is left out everywhere: what a picture costs and takes would be the provider's to say."""

COMPLEXITIES: Final = ("low", "medium", "high")
"""How much the model plans before it draws; without the parameter a 2.6 model plans at ``high``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """US dollars per million tokens; cached is what the provider had read before and charges less for."""

    text_in: Decimal
    cached_text_in: Decimal
    image_in: Decimal
    cached_image_in: Decimal
    image_out: Decimal


TOKEN_KINDS: Final = tuple(field.name for field in fields(TokenPrices))
"""What is billed at a price of its own."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard a model is to try: ``OPENAI_IMAGE_QUALITY`` and ``OPENAI_IMAGE_COMPLEXITY``."""

    quality: str = "medium"
    complexity: str = "medium"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageModelProfile:
    """How to ask one model for an edit.

    ``sizes_px`` lists the (width, height) it can make; ``None`` stands for any multiple of 16 between 1:3 and 3:1.
    ``qualities`` and ``complexities`` are the values it takes; without complexities it does not know the parameter.
    ``input_fidelity`` is ``None`` where the parameter must be left out: gpt-image-2 refuses it with every value, null
    too (pydantic/pydantic-ai issue 5413), and for later models it is not documented.
    """

    name: str
    sizes_px: tuple[tuple[int, int], ...] | None = None
    qualities: tuple[str, ...] = FINE_QUALITIES
    complexities: tuple[str, ...] = ()
    input_fidelity: str | None = None
    prices: TokenPrices


# OpenAI's model pages of 2.5 sunburst, 2.5 flare and 2.6 sunburst; resellers charge 2.6 flare like its sibling, and
# gpt-image-2 the same (theopenco/llmgateway pull requests 2059 and 3985).
_PRICES: Final = TokenPrices(
    text_in=Decimal(5),
    cached_text_in=Decimal("1.25"),
    image_in=Decimal(8),
    cached_image_in=Decimal(2),
    image_out=Decimal(30),
)

_PROFILES: Final = (
    ImageModelProfile(
        name="gpt-image-1.5",  # shut down by the provider on 1 December 2026 (OpenAI, deprecations)
        sizes_px=STANDARD_SIZES,
        qualities=QUALITIES,
        input_fidelity="high",  # keeps the face of the person
        # OpenAI's pricing page in December 2025 (simonw/llm-prices issue 41); it is gone.
        prices=TokenPrices(
            text_in=Decimal(5),
            cached_text_in=Decimal("1.25"),
            image_in=Decimal(8),
            cached_image_in=Decimal(2),
            image_out=Decimal(32),
        ),
    ),
    ImageModelProfile(name="gpt-image-2", qualities=QUALITIES, prices=_PRICES),
    ImageModelProfile(name="gpt-image-2.5-sunburst", prices=_PRICES),
    ImageModelProfile(name="gpt-image-2.5-sunburst-2026-09-08", prices=_PRICES),
    ImageModelProfile(name="gpt-image-2.5-flare", prices=_PRICES),
    ImageModelProfile(name="gpt-image-2.5-flare-2026-09-08", prices=_PRICES),
    ImageModelProfile(name="gpt-image-2.6-sunburst", complexities=COMPLEXITIES, prices=_PRICES),
    ImageModelProfile(name="gpt-image-2.6-flare", complexities=COMPLEXITIES, prices=_PRICES),
)

KNOWN_MODELS: Final = {profile.name: profile for profile in _PROFILES}
"""Every profile by name."""


def parse_models(text: str) -> tuple[ImageModelProfile, ...]:
    """The profiles named in a comma-separated list, in its order and each once.

    Raises:
        ValueError: the list is empty or names a model there is no profile for.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in KNOWN_MODELS]
    known = ", ".join(KNOWN_MODELS)
    if unknown:
        raise ValueError(f"unknown image model {', '.join(unknown)}; known are {known}")
    if not names:
        raise ValueError(f"no image model named; known are {known}")
    return tuple(KNOWN_MODELS[name] for name in names)


def check_quality(models: Sequence[ImageModelProfile], quality: str) -> None:
    """See that every model takes the quality.

    Raises:
        ValueError: names the model and what it takes.
    """
    for model in models:
        _check_choice(f"the quality of {model.name}", quality, model.qualities)


def check_complexity(models: Sequence[ImageModelProfile], complexity: str) -> None:
    """See that every model that knows the parameter takes the complexity, and that it is one at all.

    Raises:
        ValueError: names the model and what it takes.
    """
    _check_choice("complexity", complexity, COMPLEXITIES)
    for model in models:
        if model.complexities:
            _check_choice(f"the complexity of {model.name}", complexity, model.complexities)


def _check_choice(who: str, value: str, taken: Sequence[str]) -> None:
    if value not in taken:
        raise ValueError(f"{who} cannot be {value!r}; possible are {', '.join(taken)}")


def choose_size(profile: ImageModelProfile, width_px: int, height_px: int) -> str:
    """The ``size`` parameter for a result shaped like the person's photo, for example ``1024x1536``.

    Of fixed sizes the one nearest in shape; where sizes are free, the photo's own shape.

    Args:
        profile: the model that will be asked.
        width_px: width of the person's photo, at least 1.
        height_px: height of the person's photo, at least 1.
    """
    shape = math.log(width_px / height_px)
    if profile.sizes_px is None:
        width, height = _free_size(shape)
    else:
        width, height = min(profile.sizes_px, key=lambda size: abs(math.log(size[0] / size[1]) - shape))
    return f"{width}x{height}"


def _free_size(shape: float) -> tuple[int, int]:
    """Width and height for ``shape`` = log(width / height) within both budgets and the allowed ratios."""
    limit = math.log(MAX_SIDE_RATIO)
    shape = min(max(shape, -limit), limit)
    area_px = min(PIXEL_BUDGET, SHAPE_BUDGET_PX * math.exp(abs(shape)) - BILLED_AREA_OFFSET_PX)
    ratio = math.exp(shape)
    return _nearest_step(math.sqrt(area_px * ratio)), _nearest_step(math.sqrt(area_px / ratio))


def _nearest_step(side_px: float) -> int:
    return round(side_px / SIDE_STEP_PX) * SIDE_STEP_PX


def billed_tokens(usage: Usage) -> dict[str, int]:
    """The tokens of one edit by the kinds of ``TOKEN_KINDS``; each token is in one of them."""
    return {
        "text_in": usage.input_text_tokens - usage.cached_text_tokens,
        "cached_text_in": usage.cached_text_tokens,
        "image_in": usage.input_image_tokens - usage.cached_image_tokens,
        "cached_image_in": usage.cached_image_tokens,
        "image_out": usage.output_tokens,
    }


def estimate_cost_usd(profile: ImageModelProfile, usage: Usage) -> Decimal:
    """What the provider bills for one edit, in US dollars with six decimals."""
    tokens = billed_tokens(usage)
    total = sum((getattr(profile.prices, kind) * tokens[kind] for kind in TOKEN_KINDS), start=Decimal(0))
    return (total / TOKENS_PER_PRICE).quantize(COST_STEP_USD, rounding=ROUND_HALF_UP)
