"""Vocabulary of a generation: who it belongs to, where it stands, what it cost."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class Channel(StrEnum):
    """Which of the platform's two products a task came from (FR-6)."""

    B2B = "b2b"
    B2C = "b2c"


class SessionStatus(StrEnum):
    """The platform's session states; ``PENDING`` is a legacy b2c form of ``QUEUED``."""

    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SessionRef:
    """Names one session row: the channel says which table it is in (FR-6.1, FR-6.2)."""

    channel: Channel
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens the provider billed for one image edit; the cached ones are among the others of their kind."""

    input_text_tokens: int
    input_image_tokens: int
    output_tokens: int
    cached_text_tokens: int = 0
    cached_image_tokens: int = 0

    @property
    def input_tokens(self) -> int:
        """Text and image tokens together, as the session row stores them."""
        return self.input_text_tokens + self.input_image_tokens

    @property
    def cached_tokens(self) -> int:
        """Of the input tokens, those at the lower price."""
        return self.cached_text_tokens + self.cached_image_tokens


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """One finished try-on picture: JPEG bytes, the model that made them, tokens and price in US dollars; both ``None``
    where the provider did not tell the tokens."""

    jpeg: bytes = field(repr=False)  # a photograph; never in a log
    model: str
    usage: Usage | None
    estimated_cost_usd: Decimal | None

    @property
    def told_cost(self) -> dict[str, int | str]:
        """Tokens and price for a log line; empty where they are not known."""
        if self.usage is None:
            return {}
        return {
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "cached_tokens": self.usage.cached_tokens,
            "estimated_cost_usd": str(self.estimated_cost_usd),
        }
