"""The provider's image models as data: what each one accepts and what it costs.

A model is used as its profile says and nowhere else is a model's name compared. Facts and prices: OpenAI's model
and deprecation pages and ``openapi.yaml`` of 2026-08-21, read in November 2026.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from models.generation import Usage

TOKENS_PER_PRICE: Final = Decimal(1_000_000)
"""Prices are quoted in US dollars per this many tokens."""

COST_STEP_USD: Final = Decimal("0.000001")
"""``estimated_cost_usd`` is numeric(10,6)."""

PIXEL_BUDGET: Final = 1024 * 1536
"""Free sizes have about the area of the portrait format every model has, so that a picture's price stays the same."""

SIDE_STEP_PX: Final = 16
"""Free sizes are multiples of this."""

MAX_SIDE_RATIO: Final = 2.9
"""Free sizes must lie between 1:3 and 3:1; a little less leaves room for rounding to ``SIDE_STEP_PX``."""

STANDARD_SIZES: Final = ((1024, 1024), (1536, 1024), (1024, 1536))
"""(width, height) in pixels that gpt-image-1.5 can make."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """US dollars per million tokens."""

    text_in: Decimal
    image_in: Decimal
    image_out: Decimal


@dataclass(frozen=True, slots=True)
class ImageModelProfile:
    """How to ask one model for an edit.

    ``sizes_px`` lists the (width, height) it can make; ``None`` stands for any multiple of 16 between 1:3 and 3:1.
    ``input_fidelity`` is ``None`` where the model refuses the parameter.
    """

    name: str
    sizes_px: tuple[tuple[int, int], ...] | None
    quality: str
    input_fidelity: str | None
    prices: TokenPrices


# Medium: at 1024x1536 about 1,600 output tokens (5 cents) where high takes 6,200 (OpenAI community forum).
_QUALITY: Final = "medium"

_PROFILES: Final = (
    ImageModelProfile(
        name="gpt-image-1.5",  # shut down by the provider on 1 December 2026 (OpenAI, deprecations)
        sizes_px=STANDARD_SIZES,
        quality=_QUALITY,
        input_fidelity="high",  # keeps the face of the person
        # Constants of the worker before this one; the official page is gone.
        prices=TokenPrices(text_in=Decimal(5), image_in=Decimal(8), image_out=Decimal(32)),
    ),
    ImageModelProfile(
        name="gpt-image-2",
        sizes_px=None,
        quality=_QUALITY,
        input_fidelity=None,  # must be omitted (openapi.yaml)
        prices=TokenPrices(text_in=Decimal(5), image_in=Decimal(8), image_out=Decimal(30)),  # third-party listing
    ),
    ImageModelProfile(
        name="gpt-image-2.6-sunburst",
        sizes_px=None,
        quality=_QUALITY,
        input_fidelity=None,  # not documented
        prices=TokenPrices(text_in=Decimal(5), image_in=Decimal(8), image_out=Decimal(30)),  # OpenAI model page
    ),
    ImageModelProfile(
        name="gpt-image-2.6-flare",
        sizes_px=None,
        quality=_QUALITY,
        input_fidelity=None,  # not documented
        # No price of its own was found: counted like its sibling, so that the estimate is never zero.
        prices=TokenPrices(text_in=Decimal(5), image_in=Decimal(8), image_out=Decimal(30)),
    ),
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
    """Width and height for ``shape`` = log(width / height) within the pixel budget and the allowed ratios."""
    limit = math.log(MAX_SIDE_RATIO)
    ratio = math.exp(min(max(shape, -limit), limit))
    return _nearest_step(math.sqrt(PIXEL_BUDGET * ratio)), _nearest_step(math.sqrt(PIXEL_BUDGET / ratio))


def _nearest_step(side_px: float) -> int:
    return round(side_px / SIDE_STEP_PX) * SIDE_STEP_PX


def estimate_cost_usd(profile: ImageModelProfile, usage: Usage) -> Decimal:
    """What the provider bills for one edit, in US dollars with six decimals."""
    prices = profile.prices
    total = (
        prices.text_in * usage.input_text_tokens
        + prices.image_in * usage.input_image_tokens
        + prices.image_out * usage.output_tokens
    )
    return (total / TOKENS_PER_PRICE).quantize(COST_STEP_USD, rounding=ROUND_HALF_UP)
