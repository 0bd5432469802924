"""The queue contract: one element of ``wearon:tasks:generation`` (FR-1.2).

The producer is the platform's Next.js app; the element is one JSON object in snake_case. JSON Schema and
TypeScript are generated from it into ``contracts/`` (``make contracts``). Docstrings and descriptions of the models
below are published there.
"""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from models.generation import Channel, SessionRef

SUPPORTED_VERSION = 1
"""The only payload version this worker understands; a newer one is refused, not guessed at."""

MAX_IMAGES = 10
"""First = person, second = outfit, rest = accessories."""

MAX_URL_CHARS = 8_192
"""Signed storage URLs are about 500 characters; nothing that answers HTTP takes longer request lines. The guard of
downloads (``services/fetching/url_guard.py``) has the same bound."""

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


class _Task(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    task_id: UUID = Field(description="Identifies this task.")
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
    version: int = Field(  # not a Literal: that would take true and 1.0 for 1
        ge=1,
        le=SUPPORTED_VERSION,
        json_schema_extra={"enum": list(range(1, SUPPORTED_VERSION + 1))},
        description="Payload version.",
    )
    created_at: AwareDatetime = Field(description="When the producer made the task; ISO 8601 with a time zone.")


class B2bTask(_Task):
    """A task of a store; it must name the store (FR-6.3)."""

    model_config = ConfigDict(title="B2bGenerationTask")

    channel: Literal[Channel.B2B] = Field(description="Which product the task came from.")
    store_id: UUID = Field(description="Owner of the task.")
    user_id: UUID | None = Field(default=None, description="Absent or null; only b2c tasks have one.")

    @property
    def owner_id(self) -> UUID:
        """The store the task belongs to."""
        return self.store_id

    @property
    def session(self) -> SessionRef:
        """The session row of this task."""
        return SessionRef(Channel.B2B, self.session_id)


class B2cTask(_Task):
    """A task of a user of the app; it must name the user (FR-6.3)."""

    model_config = ConfigDict(title="B2cGenerationTask")

    channel: Literal[Channel.B2C] = Field(description="Which product the task came from.")
    user_id: UUID = Field(description="Owner of the task.")
    store_id: UUID | None = Field(default=None, description="Absent or null; only b2b tasks have one.")

    @property
    def owner_id(self) -> UUID:
        """The user the task belongs to."""
        return self.user_id

    @property
    def session(self) -> SessionRef:
        """The session row of this task."""
        return SessionRef(Channel.B2C, self.session_id)


GenerationTask = Annotated[
    B2bTask | B2cTask,
    Field(
        discriminator="channel",
        title="GenerationTask",
        description='One try-on generation, as the platform asks for it. Types are strict (`"1"` is not `1`); '
        "unknown extra keys are ignored, so that the producer may add some before the worker knows them.",
    ),
]
"""What the queue holds: the channel decides which of the two models an element must fit."""

TASK_CONTRACT: Final[TypeAdapter[B2bTask | B2cTask]] = TypeAdapter(GenerationTask)
"""Reads a task (``validate_json``; raises ``ValidationError``) and knows its JSON Schema."""
