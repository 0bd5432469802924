"""The queue contract: one element of ``wearon:tasks:generation`` (FR-1.2).

The producer is the platform's Next.js app; the element is one JSON object in snake_case. JSON Schema and
TypeScript are generated from this model into ``contracts/`` (``make contracts``).
"""

from typing import Annotated, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from models.generation import Channel, SessionRef

SUPPORTED_VERSION = 1
"""The only payload version this worker understands; a newer one is refused, not guessed at."""

MAX_IMAGES = 10
"""First = person, second = outfit, rest = accessories."""

MAX_URL_CHARS = 8_192
"""Signed storage URLs are about 500 characters; nothing that answers HTTP takes longer request lines."""

MAX_PROMPT_CHARS = 32_000
"""The provider's own limit on a prompt."""

MAX_REQUEST_ID_CHARS = 256
"""``req_`` and a UUID is 40; long enough for any other correlation id, short enough for a log line."""


def _is_http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # its message repeats a part of the URL
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https URL")
    return url


# Kept as the producer wrote it: a signed URL that is parsed and written out again may no longer match its
# signature. Whether it may be fetched is decided at the time of the download (services/fetching/url_guard.py).
ImageUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL_CHARS, json_schema_extra={"format": "uri"}),
    AfterValidator(_is_http_url),
]


class GenerationTask(BaseModel):
    """One try-on generation, as the platform asks for it.

    Types are strict (``"1"`` is not ``1``); unknown extra keys are ignored, so that the producer may add some
    before the worker knows them. A b2b task must name its store and a b2c task its user (FR-6.3).
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, title="GenerationTask")

    task_id: UUID = Field(description="Identifies this task.")
    channel: Channel = Field(description="Which product the task came from; decides table, owner and storage path.")
    store_id: UUID | None = Field(default=None, description="Owner of a b2b task; absent or null for b2c.")
    user_id: UUID | None = Field(default=None, description="Owner of a b2c task; absent or null for b2b.")
    session_id: UUID = Field(description="The session row the producer inserted with status 'queued'.")
    image_urls: list[ImageUrl] = Field(
        min_length=1,
        max_length=MAX_IMAGES,
        repr=False,  # signed: never in a log
        description="First = person, second = outfit, rest = accessories.",
    )
    prompt: str = Field(max_length=MAX_PROMPT_CHARS, repr=False, description="What to make; may be empty.")
    request_id: str = Field(
        min_length=1,
        max_length=MAX_REQUEST_ID_CHARS,
        description="Correlation id; for b2b also the idempotency key of the credit transaction.",
    )
    version: int = Field(ge=1, le=SUPPORTED_VERSION, description="Payload version.")
    created_at: AwareDatetime = Field(description="When the producer made the task; ISO 8601 with a time zone.")

    @model_validator(mode="after")
    def _owner_matches_channel(self) -> Self:
        if self.channel is Channel.B2B and self.store_id is None:
            raise ValueError("a b2b task must carry store_id")
        if self.channel is Channel.B2C and self.user_id is None:
            raise ValueError("a b2c task must carry user_id")
        return self

    @property
    def owner_id(self) -> UUID:
        """The store (b2b) or the user (b2c) the task belongs to."""
        owner = self.store_id if self.channel is Channel.B2B else self.user_id
        if owner is None:
            raise AssertionError("the validator lets no task through without its owner")
        return owner

    @property
    def session(self) -> SessionRef:
        """The session row of this task."""
        return SessionRef(self.channel, self.session_id)
