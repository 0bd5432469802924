"""Dead letters: queue elements that could not be run, kept with the reason, for a person to look at.

An element is kept whole whatever its size, as text when it is text and in base64 when it is not, so that replaying
it puts the very same bytes into the queue.
"""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

ID_DIGITS: Final = 12
"""Hexadecimal digits of the element's and time's digest: enough to type, and not to collide in one list."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One buried element. ``reason`` is a stable name, ``detail`` a sentence, ``buried_at`` ISO 8601."""

    letter_id: str
    reason: str
    detail: str
    buried_at: str
    session_ids: tuple[str, ...]
    request_id: str | None
    size_bytes: int
    text: str | None
    base64: str | None

    @classmethod
    def about(
        cls,
        element: bytes,
        *,
        reason: str,
        detail: str,
        buried_at: datetime,
        session_ids: tuple[UUID, ...],
        request_id: str | None,
    ) -> "DeadLetter":
        """Make the letter of an element."""
        try:
            text, encoded = element.decode(), None
        except UnicodeDecodeError:
            text, encoded = None, base64.b64encode(element).decode()
        digest = hashlib.sha256(element + buried_at.isoformat().encode()).hexdigest()
        return cls(
            letter_id=digest[:ID_DIGITS],
            reason=reason,
            detail=detail,
            buried_at=buried_at.isoformat(timespec="seconds"),
            session_ids=tuple(dict.fromkeys(str(session_id) for session_id in session_ids)),
            request_id=request_id,
            size_bytes=len(element),
            text=text,
            base64=encoded,
        )

    def encode(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, stored: bytes) -> "DeadLetter":
        """From its stored form."""
        content = json.loads(stored)
        return cls(**{**content, "session_ids": tuple(content["session_ids"])})

    @property
    def element(self) -> bytes:
        """The buried bytes."""
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64 or "")
