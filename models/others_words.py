"""[pure] What another system said, made fit for a log line, a dead letter or an operator's terminal.

Its words often name the fault better than its status does ("Legacy API keys are disabled"), but they are a stranger's:
long, sometimes a whole page, and they may repeat a key or a signed URL.
"""

import html
import re
from typing import Final

from models.redaction import blotted

LONGEST_WORDS: Final = 300
"""Characters. The longest answers of Supabase and its gateways that were seen are shorter."""

_TITLE: Final = re.compile(r"(?is)<(title|h1)[^>]*>(.*?)</\1>")
_UNSHOWN: Final = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<!--.*?-->")
_TAG: Final = re.compile(r"<[^>]*>")


def fit_to_show(text: str) -> str:
    """``text`` on one line, without keys and the queries of URLs, and not long."""
    text = blotted(" ".join(text.split()))
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}..."


def gist_of_page(page: str) -> str:
    """What a web page says: its title, else its text; for :func:`fit_to_show`."""
    if title := _TITLE.search(page):
        return html.unescape(_TAG.sub(" ", title.group(2)))
    return html.unescape(_TAG.sub(" ", _UNSHOWN.sub(" ", page)))
