"""The formats the contract's schema names, as their standards define them."""

import re
from datetime import datetime
from typing import Final

from jsonschema import FormatChecker

UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
"""RFC 9562, section 4."""

DATE_TIME_TEXT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
"""RFC 3339, section 5.6, without leap seconds, which JavaScript's dates do not have."""

HTTP_URI_TEXT: Final = re.compile(r"https?://[A-Za-z0-9._~-]+(:\d{1,5})?([/?#][!-~]*)?", re.ASCII)
"""RFC 3986 for what a picture's address can be: ASCII only, a host in it."""

FORMATS: Final = FormatChecker(formats=())
"""jsonschema asserts a format only with a checker, and its own for dates and URIs need further packages."""


@FORMATS.checks("uuid")
def is_uuid(value: object) -> bool:
    """Whether a text is a UUID; anything else is not for a format to judge."""
    return not isinstance(value, str) or bool(UUID_TEXT.fullmatch(value))


@FORMATS.checks("date-time")
def is_date_time(value: object) -> bool:
    """Whether a text is a moment with a time zone."""
    if not isinstance(value, str):
        return True
    try:
        return bool(DATE_TIME_TEXT.fullmatch(value) and datetime.fromisoformat(value))
    except ValueError:
        return False


@FORMATS.checks("uri")
def is_http_uri(value: object) -> bool:
    """Whether a text is an http or https URI."""
    return not isinstance(value, str) or bool(HTTP_URI_TEXT.fullmatch(value))
