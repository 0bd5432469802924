"""[pure] The form of one ``POST /images/edits``.

Fields: OpenAI's ``openapi.yaml`` of 2026-08-21. The parts are kept as they are and never joined: with 150 requests in
flight one more copy of every picture would be the largest thing in memory.
"""

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.image_models import Effort, ImageModelProfile, choose_size

OUTPUT_FORMAT: Final = "jpeg"
"""Without it the answer is a PNG."""

OUTPUT_COMPRESSION_PERCENT: Final = 90
"""JPEG quality of the result: no visible loss at 1024x1536, about a third of the bytes of the default 100."""

DEFAULT_PROMPT: Final = (
    "Show the person in the first picture wearing the clothes and accessories of the other pictures. Keep the "
    "person's face, hair, skin, body shape and pose and the background as they are. Keep each garment's colour, "
    "pattern, logos and cut. Natural light and realistic folds, like a photograph."
)
"""For tasks whose prompt is empty; the provider demands one."""

_BOUNDARY_BYTES: Final = 16
"""128 random bits: it cannot occur in a picture by chance (RFC 2046, 5.1.1)."""


@dataclass(frozen=True, slots=True)
class EditForm:
    """A multipart/form-data body (RFC 7578) that can be sent any number of times."""

    content_type: str
    image_count: int
    parts: tuple[bytes, ...] = field(repr=False)  # somebody's photographs

    @property
    def size_bytes(self) -> int:
        """Length of the whole body."""
        return sum(map(len, self.parts))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part


def build_edit_form(
    profile: ImageModelProfile,
    effort: Effort,
    *,
    images: Sequence[bytes],
    person_size: tuple[int, int],
    prompt: str,
    safety_identifier: str,
) -> EditForm:
    """The request body for one edit.

    Args:
        profile: the model to ask.
        effort: its complexity is left out for a model that does not know the parameter.
        images: JPEGs; the first is the person.
        person_size: (width, height) of the first, in pixels; the result gets its shape.
        prompt: ``DEFAULT_PROMPT`` if blank.
        safety_identifier: names the end user to the provider's abuse detection without saying who it is; at most 64
            characters.
    """
    fields = {
        "model": profile.name,
        "prompt": prompt if prompt.strip() else DEFAULT_PROMPT,
        "size": choose_size(profile, *person_size),
        "quality": effort.quality,
        "output_format": OUTPUT_FORMAT,
        "output_compression": str(OUTPUT_COMPRESSION_PERCENT),
        "n": "1",
        "safety_identifier": safety_identifier,
    }
    if profile.complexities:
        fields["complexity"] = effort.complexity
    if profile.input_fidelity is not None:
        fields["input_fidelity"] = profile.input_fidelity
    boundary = secrets.token_hex(_BOUNDARY_BYTES)
    return EditForm(
        content_type=f"multipart/form-data; boundary={boundary}",
        image_count=len(images),
        parts=tuple(_multipart(boundary, fields, images)),
    )


def _multipart(boundary: str, fields: dict[str, str], images: Sequence[bytes]) -> Iterator[bytes]:
    lines = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    for number, image in enumerate(images):
        yield (
            f"{lines}--{boundary}\r\n"
            f'Content-Disposition: form-data; name="image[]"; filename="{number}.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        yield image
        lines = "\r\n"
    yield f"{lines}--{boundary}--\r\n".encode()
