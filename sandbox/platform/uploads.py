"""The platform's use of Storage: uploads the inputs of a task and signs them, as its server does."""

from pathlib import Path
from typing import Final, Self
from uuid import UUID, uuid4

import httpx

from models.generation import Channel
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.supabase import BUCKET

SIGNED_URL_SECONDS: Final = 21_600
"""6 h, as long as the platform keeps inputs and results (platform contract)."""

REQUEST_TIMEOUT_SECONDS: Final = 10.0

MEDIA_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".gif": "image/gif",
}
"""By file ending; what the worker accepts."""


class UnknownPictureFormat(ValueError):
    """The file's ending is none of ``MEDIA_TYPES``."""


def upload_path(channel: Channel, owner_id: UUID, suffix: str) -> str:
    """A new place in the bucket for an input of this owner; b2c inputs lie directly in ``uploads/``."""
    return f"stores/{owner_id}/uploads/{uuid4()}{suffix}" if channel is Channel.B2B else f"uploads/{uuid4()}{suffix}"


class PlatformStorage:
    """Storage behind the Supabase API at ``url``; ``key`` is a key that may write there."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/storage/v1",
            headers={"apikey": key, "authorization": f"Bearer {key}"},
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,
            verify=NO_AUTHORITIES,
        )

    def put_picture(self, picture: Path, channel: Channel, owner_id: UUID) -> str:
        """Upload a file and return a signed URL of it.

        Raises:
            UnknownPictureFormat: the ending says nothing we know.
            OSError: the file cannot be read.
            httpx.HTTPError: Storage does not answer, or refuses.
        """
        suffix = picture.suffix.lower()
        if suffix not in MEDIA_TYPES:
            raise UnknownPictureFormat(f"{picture}: the file name should end in one of {', '.join(MEDIA_TYPES)}")
        content = picture.read_bytes()
        name = f"{BUCKET}/{upload_path(channel, owner_id, suffix)}"
        headers = {"content-type": MEDIA_TYPES[suffix]}
        self._http.post(f"/object/{name}", content=content, headers=headers).raise_for_status()
        answer = self._http.post(f"/object/sign/{name}", json={"expiresIn": SIGNED_URL_SECONDS}).raise_for_status()
        return f"{str(self._http.base_url).rstrip('/')}{answer.json()['signedURL']}"

    def fetch(self, signed_url: str) -> bytes:
        """The object behind a signed URL. Raises ``httpx.HTTPError``."""
        return self._http.get(signed_url).raise_for_status().content

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
