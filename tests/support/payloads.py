"""Queue elements as the platform writes them, one field changed at a time."""

import json
from typing import Any, Final

TASK_ID: Final = "7b1f3c52-63a5-4a0e-9a53-9d1c6d0f0a01"
SESSION_ID: Final = "0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02"
STORE_ID: Final = "c9a4b6e2-5d1f-4e8a-b7c3-1f2e3d4c5b03"
USER_ID: Final = "f5e4d3c2-b1a0-4987-8765-43210fedcb04"
SIGNATURE: Final = "eyJhbGciOiJIUzI1NiJ9.eyJ1cmwiOiJwZXJzb24ifQ.c2lnbmF0dXJl"
PERSON_URL: Final = f"https://project.supabase.co/storage/v1/object/sign/virtual-tryon-images/p.jpg?token={SIGNATURE}"

MISSING: Final = object()
"""As a field's value: leave the key out."""


def b2c(**changed: Any) -> dict[str, Any]:
    """A b2c task; it does not carry ``store_id`` at all."""
    return _with({**_common(), "channel": "b2c", "user_id": USER_ID, "request_id": f"req_{TASK_ID}"}, changed)


def b2b(**changed: Any) -> dict[str, Any]:
    """A b2b task; it does not carry ``user_id`` at all."""
    return _with({**_common(), "channel": "b2b", "store_id": STORE_ID, "request_id": TASK_ID}, changed)


def encode(payload: object) -> bytes:
    """As it stands in the queue."""
    return json.dumps(payload).encode()


def _common() -> dict[str, Any]:
    return {
        "task_id": TASK_ID,
        "session_id": SESSION_ID,
        "image_urls": [PERSON_URL, "https://shop.example/outfit.png"],
        "prompt": "A photograph of the person wearing the outfit.",
        "version": 1,
        "created_at": "2026-11-21T10:00:00.000Z",
    }


def _with(payload: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**payload, **changed}.items() if value is not MISSING}
