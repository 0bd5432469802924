"""Where answers go: one JSON value for programs, lines for people."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from operations.text import Paint, redacted_text


def paint() -> Paint:
    """Colours for standard output, where it takes them."""
    return Paint.chosen(is_terminal=sys.stdout.isatty(), environment=os.environ)


def show_lines(lines: Iterable[str]) -> None:
    """For people."""
    print("\n".join(lines))


def show_json(value: object) -> None:
    """For programs."""
    print(json.dumps(plain(value), indent=2))


def plain(value: Any) -> Any:
    """``value`` in what JSON has: times in ISO 8601, ids and money as text; without anything secret [pure].

    Raises:
        TypeError: it holds something that is not meant to be shown.
    """
    match value:
        case None | bool() | int() | float():
            shown: Any = value
        case Enum():
            shown = value.value
        case str() | UUID() | Decimal():
            shown = redacted_text(str(value))
        case datetime() | date():
            shown = value.isoformat()
        case Mapping():
            shown = {str(plain(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            shown = [plain(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            shown = plain({field.name: getattr(value, field.name) for field in fields(value)})
        case _:
            raise TypeError(type(value).__name__)
    return shown
