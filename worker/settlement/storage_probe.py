"""Asks Storage whether it takes a picture, with a picture of ours: at the start, and while it refuses finished ones."""

from base64 import b64decode
from typing import Final

from services.platform.supabase_client import SupabaseClient

USUAL_PICTURE_BYTES: Final = 2 * 1024 * 1024
"""A bucket whose limit is below this would refuse finished pictures: 1024 by 1536 pixels as JPEG come to about 1 MB."""

PICTURE: Final = b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0Hyc5PTgy"
    "PC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjL/wAARCAAIAAgD"
    "ASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAf/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAA"
    "AAAAAAAAAAAAAAAAAAD/2gAMAwEAAhEDEQA/AL+AD//Z"
)
"""Eight by eight white pixels as JPEG. Written down, because the main process asks as well and has no encoder
(ADR 0038)."""


def probe_storage(store: SupabaseClient) -> None:
    """Ask once.

    Raises:
        PlatformFailure: it does not answer, or takes none.
    """
    store.check_storage(PICTURE, USUAL_PICTURE_BYTES)
