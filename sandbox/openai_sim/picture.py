"""The simulator's pictures: reads uploads into small previews and composes the result from them.

The result shows the first picture large, the others inset beside it and a caption with the model's name, so that a
person sees which inputs arrived. Memory between the two steps is what counts: a waiting request keeps only its
previews, a few tens of kilobytes each.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from sandbox.openai_sim.profiles import Size

PREVIEW_EDGE_PIXELS: Final = 512
"""Longest side of what is kept of an upload: enough to recognise it in the result."""

PREVIEW_JPEG_QUALITY: Final = 80
SUPPORTED_FORMATS: Final = ("PNG", "JPEG", "WEBP")

_BACKDROP: Final = (235, 235, 232)
_CAPTION_BACKGROUND: Final = (32, 32, 40)
_CAPTION_TEXT: Final = (255, 214, 10)
_FRAME: Final = (255, 255, 255)
_CAPTION_HEIGHT_SHARE: Final = 0.06
_INSET_WIDTH_SHARE: Final = 0.3
_MARGIN_SHARE: Final = 0.015
_NOISE_SIGMA: Final = 24
"""Gives the fixed result about the file size of a real photograph-like answer (300 kB at 1024x1536)."""
_FIXED_JPEG_QUALITY: Final = 75


class UnreadableImage(Exception):
    """The bytes are no picture in a supported format."""


@dataclass(frozen=True, slots=True)
class InputImage:
    """What is known and kept of one uploaded picture; ``preview`` is a small JPEG, ``None`` if none was asked for."""

    image_format: str
    width: int
    height: int
    size_bytes: int
    preview: bytes | None


def inspect_image(content: memoryview, *, with_preview: bool) -> InputImage:
    """Reads one upload; raises :class:`UnreadableImage`.

    With a preview the picture is decoded (at reduced scale where the format allows), so a truncated one is noticed;
    without, only its header is read.
    """
    try:
        with Image.open(io.BytesIO(content), formats=SUPPORTED_FORMATS) as image:
            return InputImage(
                image_format=image.format or "",
                width=image.width,
                height=image.height,
                size_bytes=len(content),
                preview=_preview(image) if with_preview else None,
            )
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage from error


def compose(
    previews: tuple[bytes, ...], *, size: Size, model: str, output_format: str, compression: int, transparent: bool
) -> bytes:
    """The result picture in ``output_format`` (``jpeg``, ``png``, ``webp``) and exactly ``size``."""
    canvas = Image.new("RGBA" if transparent else "RGB", size, (0, 0, 0, 0) if transparent else _BACKDROP)
    caption_height = round(size.height * _CAPTION_HEIGHT_SHARE)
    body = Size(size.width, size.height - caption_height)
    person = ImageOps.contain(_open(previews[0]), body)
    canvas.paste(person, ((body.width - person.width) // 2, (body.height - person.height) // 2))
    _paste_insets(canvas, previews[1:], body)
    _draw_caption(canvas, f"SIMULATED  {model}", caption_height)
    return _encode(canvas, output_format, quality=compression)


@lru_cache(maxsize=16)
def fixed_result(size: Size, model: str, output_format: str) -> bytes:
    """A picture drawn once per size, model and format: as large in bytes as a real one, and free from then on."""
    canvas = Image.effect_noise(size, _NOISE_SIGMA).convert("RGB")
    _draw_caption(canvas, f"SIMULATED  {model}  FIXED", round(size.height * _CAPTION_HEIGHT_SHARE))
    return _encode(canvas, output_format, quality=_FIXED_JPEG_QUALITY)


def _preview(image: Image.Image) -> bytes:
    image.draft("RGB", (PREVIEW_EDGE_PIXELS, PREVIEW_EDGE_PIXELS))
    image.load()
    image.thumbnail((PREVIEW_EDGE_PIXELS, PREVIEW_EDGE_PIXELS), Image.Resampling.BILINEAR)
    return _encode(image.convert("RGB"), "jpeg", quality=PREVIEW_JPEG_QUALITY)


def _open(preview: bytes) -> Image.Image:
    return Image.open(io.BytesIO(preview))


def _paste_insets(canvas: Image.Image, previews: tuple[bytes, ...], body: Size) -> None:
    """The further pictures down the right edge, framed; they shrink as they become many."""
    if not previews:
        return
    margin = max(1, round(body.width * _MARGIN_SHARE))
    height = body.height // len(previews) - margin
    box = (round(body.width * _INSET_WIDTH_SHARE) - 2 * margin, height - 2 * margin)
    top = margin
    for preview in previews:
        picture = ImageOps.expand(ImageOps.contain(_open(preview), box), border=max(1, margin // 3), fill=_FRAME)
        canvas.paste(picture, (body.width - picture.width - margin, top))
        top += height + margin


def _draw_caption(canvas: Image.Image, text: str, height: int) -> None:
    draw = ImageDraw.Draw(canvas)
    top = canvas.height - height
    draw.rectangle((0, top, canvas.width, canvas.height), fill=_CAPTION_BACKGROUND)
    font = ImageFont.load_default(size=max(8, height * 0.5))
    draw.text((canvas.width / 2, top + height / 2), text, font=font, fill=_CAPTION_TEXT, anchor="mm")


def _encode(image: Image.Image, output_format: str, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    if output_format == "png":
        # The fastest compression: nobody keeps these pictures.
        image.save(buffer, "PNG", compress_level=1)
    else:
        # Pillow advises against JPEG qualities above 95: much larger, no visible gain.
        image.save(buffer, output_format.upper(), quality=min(quality, 95))
    return buffer.getvalue()
