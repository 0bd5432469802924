"""Calls to a running OpenAI simulator, shared by its test files."""

import base64
import io
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
from PIL import Image

from sandbox.plain_http import NO_AUTHORITIES

KEY = {"Authorization": "Bearer sk-test"}
MODEL = "gpt-image-1.5"
OTHER_MODEL = "gpt-image-2.6-sunburst"
SOON_SECONDS = 60.0
"""Bounds a failure only."""


def noise(edge: int = 64) -> bytes:
    """A JPEG that does not compress."""
    buffer = io.BytesIO()
    Image.effect_noise((edge, edge), 100).convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


PICTURE = noise()


def post(
    base_url: str, prompt: str, *, model: str = MODEL, content: bytes = PICTURE, timeout_seconds: float = 30
) -> httpx.Response:
    """One good edit apart from what the prompt asks for."""
    with posted(base_url, prompt, model=model, content=content, timeout_seconds=timeout_seconds) as response:
        response.read()
        return response


def posted(
    base_url: str, prompt: str, *, model: str = MODEL, content: bytes = PICTURE, timeout_seconds: float = 30
) -> AbstractContextManager[httpx.Response]:
    """The same, with an answer whose body was not read yet."""
    return httpx.stream(
        "POST",
        f"{base_url}/images/edits",
        headers=KEY,
        data={"prompt": prompt, "model": model, "output_format": "jpeg", "size": "1024x1024"},
        files={"image": ("photo.jpg", content, "image/jpeg")},
        timeout=timeout_seconds,
        verify=NO_AUTHORITIES,
    )


def picture_of(response: httpx.Response) -> bytes:
    """The bytes of the first result."""
    return base64.b64decode(response.json()["data"][0]["b64_json"])


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns as soon as ``condition`` holds; fails after a generous time."""
    never = threading.Event()
    deadline = time.monotonic() + SOON_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        never.wait(0.02)
