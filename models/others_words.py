"""[pure] What another system said, made fit for a log line, a dead letter or an operator's terminal.

Its words often name the fault better than its status does ("Legacy API keys are disabled"), but they are a stranger's:
long, sometimes a whole page, and they may repeat a key or a signed URL.
"""

import html
import re
from typing import Final

BLOTTED: Final = "[...]"

LONGEST_WORDS: Final = 300
"""Characters. The longest answers of Supabase and its gateways that were seen are shorter."""

_CREDENTIALS_IN_A_URL: Final = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s@\"'<>]+@")
_QUERY_OF_A_URL: Final = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s?#\"'<>]+)\?[^\s\"'<>]*")
_KEY: Final = re.compile(
    r"(?x)"
    r"\b(?:sk|sb|pk|rk)[-_][A-Za-z0-9_*.-]{6,}"  # OpenAI, Supabase, Stripe; also as they repeat them, half in asterisks
    r"|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_.-]*)?"  # a JSON web token
    r"|\b[A-Za-z0-9+_]{32,}={0,2}"  # anything else that is long and unbroken; a UUID has hyphens, a path slashes
)
_NAMED_SECRET: Final = re.compile(r"(?i)\b(token|apikey|api_key|password|secret)=[^\s&\"'<>]+")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")

_TITLE: Final = re.compile(r"(?is)<(title|h1)[^>]*>(.*?)</\1>")
_UNSHOWN: Final = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<!--.*?-->")
_TAG: Final = re.compile(r"<[^>]*>")


def fit_to_show(text: str) -> str:
    """``text`` on one line, without keys and the queries of URLs, and not long."""
    text = " ".join(text.split())
    text = _CREDENTIALS_IN_A_URL.sub(rf"\1{BLOTTED}@", text)
    text = _QUERY_OF_A_URL.sub(rf"\1?{BLOTTED}", text)
    text = _NAMED_SECRET.sub(rf"\1={BLOTTED}", text)
    text = _BEARER.sub(rf"\1 {BLOTTED}", text)
    text = _KEY.sub(BLOTTED, text)
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}..."


def gist_of_page(page: str) -> str:
    """What a web page says: its title, else its text; for :func:`fit_to_show`."""
    if title := _TITLE.search(page):
        return html.unescape(_TAG.sub(" ", title.group(2)))
    return html.unescape(_TAG.sub(" ", _UNSHOWN.sub(" ", page)))
