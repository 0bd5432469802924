"""Dead letters: queue elements that could not be run, kept with the reason, for a person to look at.

An element is kept whole whatever its size, so that replaying it puts the very same bytes into the queue. One that could
be a task by its size is in the letter, as text when it is text and in base64 when it is not; a longer one never leaves
Redis and has a key of its own (docs/adr/0014).
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.queue.task_queue import set_aside_key

ID_DIGITS: Final = 12
"""Hexadecimal digits of the element's and time's digest: enough to type, and not to collide in one list."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One buried element. ``reason`` is a stable name, ``detail`` a sentence, ``buried_at`` ISO 8601.

    The element is in ``text`` or ``base64``, or in Redis under ``element_key``, which older letters do not have.
    """

    letter_id: str
    reason: str
    detail: str
    buried_at: str
    session_ids: tuple[str, ...]
    request_id: str | None
    size_bytes: int
    text: str | None
    base64: str | None
    element_key: str | None = None

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
        return cls(
            letter_id=_letter_id(element, buried_at),
            reason=reason,
            detail=detail,
            buried_at=buried_at.isoformat(timespec="seconds"),
            session_ids=_named_once(session_ids),
            request_id=request_id,
            size_bytes=len(element),
            text=text,
            base64=encoded,
        )

    @classmethod
    def about_long(
        cls,
        fingerprint: str,
        *,
        size_bytes: int,
        reason: str,
        detail: str,
        buried_at: datetime,
        session_ids: tuple[UUID, ...],
        key_for: Callable[[str], str] = set_aside_key,
    ) -> "DeadLetter":
        """Make the letter of an element that stays in Redis and is known by its fingerprint; ``key_for`` tells under
        which key, by the letter's id."""
        letter_id = _letter_id(fingerprint.encode(), buried_at)
        return cls(
            letter_id=letter_id,
            reason=reason,
            detail=detail,
            buried_at=buried_at.isoformat(timespec="seconds"),
            session_ids=_named_once(session_ids),
            request_id=None,
            size_bytes=size_bytes,
            text=None,
            base64=None,
            element_key=key_for(letter_id),
        )

    def encode(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, stored: bytes) -> "DeadLetter":
        """From its stored form."""
        content = json.loads(stored)
        return cls(**{**content, "session_ids": tuple(content["session_ids"])})

    @staticmethod
    def opening(letter_id: str) -> bytes:
        """What the stored form of this letter begins with."""
        return f'{{"letter_id": "{letter_id}"'.encode()

    @property
    def element(self) -> bytes | None:
        """The buried bytes; ``None`` when they are not in the letter."""
        if self.element_key is not None:
            return None
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64 or "")


def _letter_id(content: bytes, buried_at: datetime) -> str:
    return hashlib.sha256(content + buried_at.isoformat().encode()).hexdigest()[:ID_DIGITS]


def _named_once(session_ids: tuple[UUID, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(session_id) for session_id in session_ids))
