"""[pure] How workers call in Redis what they share about an image provider."""

import re
from typing import Final

FIRST_PROVIDER: Final = "openai"

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


def provider_key(provider: str, fact: str) -> str:
    """The key of one fact, for example ``blocked``: ``wearon:provider:blocked`` for OpenAI, as in every release so far,
    and ``wearon:providers:<provider>:blocked`` for any other.

    Raises:
        ValueError: no provider can be called so.
    """
    if not _NAME.fullmatch(provider):
        raise ValueError(f"no provider can be called {provider!r}")
    return f"wearon:provider:{fact}" if provider == FIRST_PROVIDER else f"wearon:providers:{provider}:{fact}"
