"""[pure] Takes what may be a secret out of another service's words, so that the rest of them can be logged.

For texts written by others, where a secret cannot be known beforehand. Our own secrets are also taken out by value
(config/logging_config.py).
"""

import re
from typing import Final

BLOT: Final = "[secret]"

SHORTEST_OPAQUE_CHARS: Final = 20
"""A word of letters and digits this long is taken for a key, a token or a hash. Ids that help in a support case are
shorter in each of their parts (a UUID's longest has 12), or are named below."""

_NAMED_SECRET: Final = re.compile(
    r"\bsk-[^\s\"'<>]+"  # OpenAI, also where a part is starred out
    r"|\bsb_secret_[^\s\"'<>]+"  # Supabase
    r"|\beyJ[\w-]+\.[\w.-]+"  # a JSON Web Token
    r"|\b(?:Bearer|Basic)\s+[^\s\"'<>]+"
    r"|\b(?:token|api_?key|password|secret)=[^\s&\"'<>]+",
    re.IGNORECASE,
)

_RUN: Final = re.compile(r"[^\s\"'<>]+")
_STARS: Final = "**"
"""The provider itself shows a key as its beginning, stars and its end."""

_E_MAIL: Final = re.compile(r"[^\s\"'<>@/=:(,\]]{1,64}@[\w.-]{1,253}\.[^\W\d_]{2,63}")
"""A database's words may hold a shopper's address. The lengths are those of RFC 5321, and keep refusing quick."""

_CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)[^\s/@]+@")
_QUERY: Final = re.compile(r"\?[^\s\"'<>]+")

_ID: Final = r"(?:org|proj|req|user)[-_]\w+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_OPAQUE: Final = re.compile(rf"(?<![\w+/=-])(?:(?P<id>{_ID})(?![\w+/=-])|[A-Za-z0-9+/=_-]{{{SHORTEST_OPAQUE_CHARS},}})")

_WORD: Final = r"(?:[a-z]*|[A-Z][a-z]*|[A-Z]{2,}|[a-z]?\d{1,4}[a-z]?)"  # never in two ways: refusing stays quick
_ORDINARY: Final = re.compile(rf"{_WORD}(?:[-_/=+]{_WORD})*")
"""Words and short numbers: names of models, error codes, paths."""


def blotted(text: str) -> str:
    """``text`` with keys, tokens, credentials, e-mail addresses and URL queries blotted out; ids of organisations,
    projects and requests stay."""
    text = _NAMED_SECRET.sub(BLOT, text)
    text = _RUN.sub(lambda run: BLOT if _STARS in run[0] else run[0], text)
    text = _CREDENTIALS_IN_URL.sub(f"{BLOT}@", text)
    text = _RUN.sub(lambda run: _E_MAIL.sub(BLOT, run[0]) if "@" in run[0] else run[0], text)
    text = _QUERY.sub("", text)
    return _OPAQUE.sub(_blot_opaque, text)


def _blot_opaque(match: re.Match[str]) -> str:
    return match[0] if match["id"] or _ORDINARY.fullmatch(match[0]) else BLOT
