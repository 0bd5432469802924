"""Asks Storage whether it takes a picture, with a picture of ours: at the start, and while it refuses finished ones."""

import io
from functools import cache
from typing import Final

from PIL import Image

from services.platform.supabase_client import SupabaseClient

USUAL_PICTURE_BYTES: Final = 2 * 1024 * 1024
"""A bucket whose limit is below this would refuse finished pictures: 1024 by 1536 pixels as JPEG come to about 1 MB."""

SIDE_PX: Final = 8


def probe_storage(store: SupabaseClient) -> None:
    """Ask once.

    Raises:
        PlatformFailure: it does not answer, or takes none.
    """
    store.check_storage(_picture(), USUAL_PICTURE_BYTES)


@cache
def _picture() -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (SIDE_PX, SIDE_PX), "white").save(encoded, "JPEG")
    return encoded.getvalue()
