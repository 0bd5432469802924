"""Token counts of one edit, close to the real ones. Pure.

Source: the image generation guide's tables for the GPT Image models (output tokens by quality and size; input pictures
by 512-pixel tiles, with a surcharge for high input fidelity). ``xhigh`` and ``max`` have no published table: here they
are multiples of ``high``.
"""

import math
from typing import Any, Final

from sandbox.openai_sim.edit_request import EditRequest
from sandbox.openai_sim.picture import InputImage
from sandbox.openai_sim.profiles import LANDSCAPE, PORTRAIT, SQUARE

CHARACTERS_PER_TEXT_TOKEN: Final = 4
BASE_IMAGE_TOKENS: Final = 65
TILE_TOKENS: Final = 129
TILE_EDGE_PIXELS: Final = 512
HIGH_FIDELITY_SQUARE_TOKENS: Final = 4160
HIGH_FIDELITY_OBLONG_TOKENS: Final = 6240

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
_BEYOND_HIGH: Final = {"xhigh": 2, "max": 4}


def usage(edit: EditRequest) -> dict[str, Any]:
    """The ``usage`` object of the answer."""
    text_tokens = math.ceil(len(edit.prompt) / CHARACTERS_PER_TEXT_TOKEN)
    image_tokens = sum(_input_tokens(image, high_fidelity=edit.input_fidelity == "high") for image in edit.images)
    output_tokens = _output_tokens(edit) * edit.count
    input_tokens = text_tokens + image_tokens
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": image_tokens},
        "output_tokens": output_tokens,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": output_tokens},
        "total_tokens": input_tokens + output_tokens,
    }


def _input_tokens(image: InputImage, *, high_fidelity: bool) -> int:
    scale = min(1.0, TILE_EDGE_PIXELS / min(image.width, image.height))
    tiles = math.prod(max(1, math.ceil(edge * scale / TILE_EDGE_PIXELS)) for edge in (image.width, image.height))
    tokens = BASE_IMAGE_TOKENS + TILE_TOKENS * tiles
    if high_fidelity:
        square = image.width == image.height
        tokens += HIGH_FIDELITY_SQUARE_TOKENS if square else HIGH_FIDELITY_OBLONG_TOKENS
    return tokens


def _output_tokens(edit: EditRequest) -> int:
    factor = _BEYOND_HIGH.get(edit.quality, 1)
    quality = edit.quality if factor == 1 else "high"
    listed = OUTPUT_TOKENS.get((quality, edit.size))
    if listed is None:
        area_share = edit.size.width * edit.size.height / (SQUARE.width * SQUARE.height)
        listed = round(OUTPUT_TOKENS[quality, SQUARE] * area_share)
    return factor * listed
