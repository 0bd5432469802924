"""Reads the picture and the bill out of a 200 answer of ``/images/edits``."""

import binascii
import io
import json
from typing import Any, Final

import structlog
from PIL import Image

from models.failures import ProviderAnswerUnusable
from models.generation import GeneratedImage, Usage
from models.image_models import ImageModelProfile, estimate_cost_usd

log = structlog.get_logger()

_JPEG_START: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
_JPEG_END_SEARCH_BYTES: Final = 1024
"""Encoders may pad after the end marker."""


def read_answer(body: bytearray, profile: ImageModelProfile, *, provider_request_id: str | None) -> GeneratedImage:
    """The finished picture with its tokens and price. Empties ``body``, which may be megabytes, on the way.

    Raises:
        ProviderAnswerUnusable: no JSON, another shape, or the bytes are no complete JPEG.
    """
    try:
        document = _parse(body)
        usage = _read_usage(document.get("usage"))
        jpeg = _read_jpeg(document)
    except _Unusable as error:
        raise ProviderAnswerUnusable(str(error), status=200, provider_request_id=provider_request_id) from None
    cost_usd = None if usage is None else estimate_cost_usd(profile, usage)
    return GeneratedImage(jpeg=jpeg, model=profile.name, usage=usage, estimated_cost_usd=cost_usd)


class _Unusable(Exception):
    """What is wrong with the answer, in our words."""


def _parse(body: bytearray) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Unusable("the answer is no JSON") from None
    finally:
        body.clear()
    if not isinstance(document, dict):
        raise _Unusable("the answer is no JSON object")
    return document


def _read_jpeg(document: dict[str, Any]) -> bytes:
    data = document.pop("data", None)
    first = data[0] if isinstance(data, list) and data else None
    encoded = first.get("b64_json") if isinstance(first, dict) else None
    if not isinstance(encoded, str) or not encoded:
        raise _Unusable("the answer holds no picture")
    try:
        jpeg = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        raise _Unusable("the picture is no valid base64") from None
    _check_jpeg(jpeg)
    return jpeg


def _check_jpeg(jpeg: bytes) -> None:
    """A JPEG whose headers make sense and which was not cut off; decoding it all would cost 10 ms for nothing."""
    if not jpeg.startswith(_JPEG_START) or _JPEG_END not in jpeg[-_JPEG_END_SEARCH_BYTES:]:
        raise _Unusable("the picture is no complete JPEG")
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
            picture.verify()
    # Pillow raises these and more for broken headers; whatever it is, this is no picture we may store.
    except Exception:
        raise _Unusable("the picture is no readable JPEG") from None


def _read_usage(usage: object) -> Usage | None:
    """Tokens billed; ``None`` where the answer tells none for the picture itself, for no picture is free. What it does
    not split counts as the dearer kind: image input, and not cached.

    The cached share stands in ``input_tokens_details`` where the provider tells it, in all or by kind
    (``cached_tokens_details``); gateways show both forms.
    """
    if not isinstance(usage, dict) or not _tokens(usage.get("output_tokens")):
        log.warning("provider_usage_missing")
        return None
    total = _tokens(usage.get("input_tokens"))
    details = _object(usage.get("input_tokens_details"))
    text = min(_tokens(details.get("text_tokens")), total)
    cached = _object(details.get("cached_tokens_details"))
    cached_text = min(_tokens(cached.get("text_tokens")), text)
    cached_image = min(_tokens(cached.get("image_tokens")), total - text)
    if not cached:  # undivided: text first, it saves less
        cached_total = min(_tokens(details.get("cached_tokens")), total)
        cached_text = min(cached_total, text)
        cached_image = cached_total - cached_text
    return Usage(
        input_text_tokens=text,
        input_image_tokens=total - text,
        output_tokens=_tokens(usage.get("output_tokens")),
        cached_text_tokens=cached_text,
        cached_image_tokens=cached_image,
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tokens(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
