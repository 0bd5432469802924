"""From the parts of a form to one valid edit, or the refusal the real API gives. No I/O.

Field names, limits and defaults: the API's reference of ``images/edits`` (OpenAPI description of 2026-08) and, for
``moderation`` and ``complexity``, the JSON variant and the 2.6 models' pages.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.openai_sim import errors
from sandbox.openai_sim.multipart import Part
from sandbox.openai_sim.picture import InputImage, UnreadableImage, inspect_image
from sandbox.openai_sim.profiles import AUTO, MODELS, ModelProfile, Size, automatic_size

MAXIMUM_IMAGES: Final = 16
MAXIMUM_IMAGE_BYTES: Final = 50 * 1000 * 1000
"""Documented as "less than 50MB"; taken as decimal, the stricter reading."""
MAXIMUM_PROMPT_CHARACTERS: Final = 32_000
MAXIMUM_SAFETY_IDENTIFIER_CHARACTERS: Final = 64
MAXIMUM_RESULTS: Final = 10
MAXIMUM_PARTIAL_IMAGES: Final = 3
IMAGE_MIMETYPES: Final = ("image/jpeg", "image/png", "image/webp")
MASK_MIMETYPES: Final = ("image/png",)
OUTPUT_FORMATS: Final = ("png", "jpeg", "webp")
UNDECLARED_MIMETYPE: Final = "application/octet-stream"
"""What a part without a ``Content-Type`` counts as, as in the real refusal of such a part."""

_IMAGE_FIELDS: Final = frozenset({"image", "image[]"})
_MASK_FIELD: Final = "mask"
_TEXT_FIELDS: Final = frozenset(
    {
        "background",
        "complexity",
        "input_fidelity",
        "model",
        "moderation",
        "n",
        "output_compression",
        "output_format",
        "partial_images",
        "prompt",
        "quality",
        "safety_identifier",
        "size",
        "stream",
        "user",
    }
)
_FULL_QUALITY_PERCENT: Final = 100
_AUTOMATIC_QUALITY: Final = "medium"
_AUTOMATIC_COMPLEXITY: Final = "high"
_AUTOMATIC_BACKGROUND: Final = "opaque"


@dataclass(frozen=True, slots=True)
class Form:
    """The form's fields by kind; ``text`` holds every text field exactly as sent."""

    text: Mapping[str, str]
    images: tuple[Part, ...]
    mask: Part | None


@dataclass(frozen=True, slots=True)
class EditRequest:
    """One valid edit with every ``auto`` resolved; holds no upload, only small previews of the pictures."""

    profile: ModelProfile
    prompt: str
    images: tuple[InputImage, ...]
    count: int
    size: Size
    quality: str
    background: str
    input_fidelity: str
    output_format: str
    output_compression: int


def sort_fields(parts: Collection[Part]) -> Form:
    """The parts by kind; raises :class:`ApiError` for unknown, repeated or mistyped fields."""
    text: dict[str, str] = {}
    images: list[Part] = []
    mask: Part | None = None
    seen: set[str] = set()
    for part in parts:
        if part.name in seen and part.name != "image[]":
            raise errors.duplicate_parameter(part.name)
        seen.add(part.name)
        if part.name in _TEXT_FIELDS:
            if part.filename is not None:
                raise errors.invalid_type(part.name, "a string", "a file")
            text[part.name] = part.text()
            continue
        if part.name not in _IMAGE_FIELDS and part.name != _MASK_FIELD:
            raise errors.unknown_parameter(part.name)
        if part.filename is None:
            raise errors.invalid_type(part.name, "a file", "a string")
        if part.name == _MASK_FIELD:
            mask = part
        else:
            images.append(part)
    if seen >= _IMAGE_FIELDS:
        raise errors.duplicate_parameter("image")
    return Form(text=text, images=tuple(images), mask=mask)


def validate(form: Form, *, retired_models: Collection[str] = (), with_previews: bool = True) -> EditRequest:
    """The edit asked for; raises :class:`ApiError` in the words of the real API for anything it would refuse.

    ``with_previews=False`` reads only the pictures' headers, which costs next to nothing.
    """
    text = form.text
    profile = _model(text, retired_models)
    prompt = _prompt(text)
    _check_identity(text)
    _check_streaming(text)
    _choice(text, "moderation", ("auto", "low"), default=AUTO)
    if "complexity" in text and not profile.takes_complexity:
        raise errors.parameter_not_of_model(profile.name, "complexity")
    _choice(text, "complexity", ("low", "medium", "high"), default=_AUTOMATIC_COMPLEXITY)
    if "input_fidelity" in text and not profile.takes_input_fidelity:
        raise errors.parameter_not_of_model(profile.name, "input_fidelity")
    output_format = _choice(text, "output_format", OUTPUT_FORMATS, default="png")
    quality = _choice(text, "quality", profile.qualities, default=AUTO)
    wanted_size = profile.parse_size(text.get("size", AUTO))
    background = _background(text, profile, output_format)
    compression = _compression(text, output_format)
    images = _images(form, with_previews=with_previews)
    return EditRequest(
        profile=profile,
        prompt=prompt,
        images=images,
        count=_integer(text, "n", minimum=1, maximum=MAXIMUM_RESULTS, default=1),
        size=wanted_size or automatic_size(images[0].width, images[0].height),
        quality=_AUTOMATIC_QUALITY if quality == AUTO else quality,
        background=_AUTOMATIC_BACKGROUND if background == AUTO else background,
        input_fidelity=_choice(text, "input_fidelity", ("high", "low"), default="low"),
        output_format=output_format,
        output_compression=compression,
    )


def _model(text: Mapping[str, str], retired_models: Collection[str]) -> ModelProfile:
    if "model" not in text:
        raise errors.missing_parameter("model")
    name = text["model"]
    if name not in MODELS:
        raise errors.invalid_value("model", name, list(MODELS))
    if name in retired_models:
        raise errors.model_retired(name)
    return MODELS[name]


def _prompt(text: Mapping[str, str]) -> str:
    if "prompt" not in text:
        raise errors.missing_parameter("prompt")
    prompt = text["prompt"]
    if not prompt:
        raise errors.empty_text("prompt")
    if len(prompt) > MAXIMUM_PROMPT_CHARACTERS:
        raise errors.text_too_long("prompt", length=len(prompt), maximum=MAXIMUM_PROMPT_CHARACTERS)
    return prompt


def _check_identity(text: Mapping[str, str]) -> None:
    """``safety_identifier`` is bounded; the deprecated ``user`` is still taken."""
    length = len(text.get("safety_identifier", ""))
    if length > MAXIMUM_SAFETY_IDENTIFIER_CHARACTERS:
        maximum = MAXIMUM_SAFETY_IDENTIFIER_CHARACTERS
        raise errors.text_too_long("safety_identifier", length=length, maximum=maximum)


def _check_streaming(text: Mapping[str, str]) -> None:
    """The real API can stream partial pictures; the simulator says plainly that it cannot."""
    if _choice(text, "stream", ("true", "false"), default="false") == "true":
        raise errors.value_not_usable("stream", "The simulator does not stream.", code="not_simulated")
    _integer(text, "partial_images", minimum=0, maximum=MAXIMUM_PARTIAL_IMAGES, default=0)


def _background(text: Mapping[str, str], profile: ModelProfile, output_format: str) -> str:
    background = _choice(text, "background", ("transparent", "opaque", AUTO), default=AUTO)
    if background == "transparent" and not profile.takes_transparent_background:
        message = f"Transparent background is not supported for the model '{profile.name}'."
        raise errors.value_not_usable("background", message)
    if background == "transparent" and output_format == "jpeg":
        message = "Transparent background is not supported for JPEG output format."
        raise errors.value_not_usable("background", message)
    return background


def _compression(text: Mapping[str, str], output_format: str) -> int:
    compression = _integer(
        text, "output_compression", minimum=0, maximum=_FULL_QUALITY_PERCENT, default=_FULL_QUALITY_PERCENT
    )
    if output_format == "png" and compression < _FULL_QUALITY_PERCENT:
        message = "Compression less than 100 is not supported for PNG output format."
        raise errors.value_not_usable("output_compression", message, code="invalid_png_output_compression")
    return compression


def _images(form: Form, *, with_previews: bool) -> tuple[InputImage, ...]:
    if not form.images:
        raise errors.missing_parameter("image")
    if len(form.images) > MAXIMUM_IMAGES:
        raise errors.too_many_files("image", count=len(form.images), maximum=MAXIMUM_IMAGES)
    for part in form.images:
        _check_file(part, "image", IMAGE_MIMETYPES)
    if form.mask is not None:
        _check_file(form.mask, _MASK_FIELD, MASK_MIMETYPES)
        _read_image(form.mask, _MASK_FIELD, 1, with_preview=False)
    return tuple(
        _read_image(part, "image", position, with_preview=with_previews)
        for position, part in enumerate(form.images, start=1)
    )


def _check_file(part: Part, name: str, mimetypes: Collection[str]) -> None:
    declared = part.content_type or UNDECLARED_MIMETYPE
    if declared not in mimetypes:
        raise errors.unsupported_mimetype(name, declared, tuple(mimetypes))
    if len(part.content) >= MAXIMUM_IMAGE_BYTES:
        raise errors.file_too_large(name, maximum_bytes=MAXIMUM_IMAGE_BYTES)


def _read_image(part: Part, name: str, position: int, *, with_preview: bool) -> InputImage:
    try:
        return inspect_image(part.content, with_preview=with_preview)
    except UnreadableImage as error:
        raise errors.invalid_image_file(name, position) from error


def _choice(text: Mapping[str, str], name: str, supported: tuple[str, ...], *, default: str) -> str:
    value = text.get(name, default)
    if value not in supported:
        raise errors.invalid_value(name, value, supported)
    return value


def _integer(text: Mapping[str, str], name: str, *, minimum: int, maximum: int, default: int) -> int:
    if name not in text:
        return default
    try:
        value = int(text[name])
    except ValueError as error:
        raise errors.invalid_type(name, "an integer", "a string") from error
    if not minimum <= value <= maximum:
        raise errors.integer_out_of_range(name, value=value, minimum=minimum, maximum=maximum)
    return value
