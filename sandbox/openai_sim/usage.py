"""[pure] Token counts of one edit, close to the real ones.

* ``gpt-image-1.5``: the image generation guide's tables (output by quality and size; input by 512-pixel tiles, with a
  surcharge for high input fidelity).
* From ``gpt-image-2`` on, output: the formula behind the guide's calculator (OpenAI community, "Gpt-image-2 output
  pricing calculator"), which gives the published prices. For 2.5 and 2.6 no counts are published, and reports have
  fewer: here they take as many as ``gpt-image-2``. ``xhigh`` and ``max`` have no published count: they take twice and
  four times ``high``.
* From ``gpt-image-2`` on, input: patches of 32 pixels, at most 1,536; a picture below 1024 pixels is enlarged first,
  up to twice (OpenAI community, "OpenAI must document the input image pricing of gpt-image-2"). Tokens per patch by
  what is billed for 1024x1024: 0.98 cents with ``gpt-image-2``, 1.17 with 2.5 (Comfy-Org/ComfyUI pull request 16190;
  about 1,500 tokens in Bike4Mind/bike4mind issue 3067). Of 2.6 nothing is known: as 2.5.
"""

import math
from typing import Any, Final

from sandbox.openai_sim.edit_request import EditRequest
from sandbox.openai_sim.profiles import LANDSCAPE, PORTRAIT, SQUARE, ModelProfile, Size

CHARACTERS_PER_TEXT_TOKEN: Final = 4

BASE_IMAGE_TOKENS: Final = 65
TILE_TOKENS: Final = 129
TILE_EDGE_PIXELS: Final = 512
HIGH_FIDELITY_SQUARE_TOKENS: Final = 4160
HIGH_FIDELITY_OBLONG_TOKENS: Final = 6240

PATCH_EDGE_PIXELS: Final = 32
MAXIMUM_PATCHES: Final = 1_536
ENLARGED_EDGE_PIXELS: Final = 1024
MAXIMUM_ENLARGEMENT: Final = 2.0
MAXIMUM_INPUT_ASPECT_RATIO: Final = 3

OUTPUT_TOKENS: Final = {
    ("low", SQUARE): 272,
    ("low", PORTRAIT): 408,
    ("low", LANDSCAPE): 400,
    ("medium", SQUARE): 1056,
    ("medium", PORTRAIT): 1584,
    ("medium", LANDSCAPE): 1568,
    ("high", SQUARE): 4160,
    ("high", PORTRAIT): 6240,
    ("high", LANDSCAPE): 6208,
}
QUALITY_STEPS: Final = {"low": 16, "medium": 48, "high": 96}
AREA_OFFSET_PIXELS: Final = 2_000_000
AREA_DIVISOR_PIXELS: Final = 4_000_000
_BEYOND_HIGH: Final = {"xhigh": 2, "max": 4}


def usage(edit: EditRequest) -> dict[str, Any]:
    """The ``usage`` object of the answer."""
    text = text_tokens(edit.prompt)
    high_fidelity = edit.input_fidelity == "high"
    image = sum(
        input_tokens(edit.profile, image.width, image.height, high_fidelity=high_fidelity) for image in edit.images
    )
    output = output_tokens(edit.profile, edit.quality, edit.size) * edit.count
    return {
        "input_tokens": text + image,
        "input_tokens_details": {"text_tokens": text, "image_tokens": image},
        "output_tokens": output,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
        "total_tokens": text + image + output,
    }


def half_cached(details: dict[str, int]) -> dict[str, Any]:
    """What ``input_tokens_details`` has in addition when half of each kind was read before."""
    cached = {kind: tokens // 2 for kind, tokens in details.items()}
    return {"cached_tokens": sum(cached.values()), "cached_tokens_details": cached}


def text_tokens(prompt: str) -> int:
    """Tokens of a prompt."""
    return math.ceil(len(prompt) / CHARACTERS_PER_TEXT_TOKEN)


def input_tokens(profile: ModelProfile, width: int, height: int, *, high_fidelity: bool = False) -> int:
    """Tokens of one input picture of this size in pixels."""
    if profile.input_tokens_per_patch is None:
        return _tile_tokens(width, height, high_fidelity=high_fidelity)
    return math.ceil(_patches(width, height) * profile.input_tokens_per_patch)


def output_tokens(profile: ModelProfile, quality: str, size: Size) -> int:
    """Tokens of one result."""
    factor = _BEYOND_HIGH.get(quality, 1)
    quality = "high" if quality in _BEYOND_HIGH else quality
    return factor * (_calculated(quality, size) if profile.takes_any_size else OUTPUT_TOKENS[quality, size])


def _tile_tokens(width: int, height: int, *, high_fidelity: bool) -> int:
    scale = min(1.0, TILE_EDGE_PIXELS / min(width, height))
    tiles = math.prod(max(1, math.ceil(edge * scale / TILE_EDGE_PIXELS)) for edge in (width, height))
    tokens = BASE_IMAGE_TOKENS + TILE_TOKENS * tiles
    if high_fidelity:
        tokens += HIGH_FIDELITY_SQUARE_TOKENS if width == height else HIGH_FIDELITY_OBLONG_TOKENS
    return tokens


def _patches(width: int, height: int) -> int:
    longest = max(width, height)
    scale = min(max(1.0, ENLARGED_EDGE_PIXELS / longest), MAXIMUM_ENLARGEMENT)
    edges = [max(edge, longest / MAXIMUM_INPUT_ASPECT_RATIO) * scale for edge in (width, height)]
    patches = math.prod(math.ceil(edge / PATCH_EDGE_PIXELS) for edge in edges)
    return min(patches, MAXIMUM_PATCHES)


def _calculated(quality: str, size: Size) -> int:
    steps = QUALITY_STEPS[quality]
    short_steps = (2 * steps * min(size) + max(size)) // (2 * max(size))
    return -(-steps * short_steps * (AREA_OFFSET_PIXELS + size.width * size.height) // AREA_DIVISOR_PIXELS)
