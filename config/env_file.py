"""[pure] What may stand in ``.env``: only what each of its readers reads alike (docs/adr/0110).

It is read as raw bytes (into the worker's container), by Compose's own rules (for ``${...}``), by python-dotenv's
(``make dev``) and by the host's scripts. They disagree about quotes, ``$``, comments behind a value and spaces around
it, and none says so. ``scripts/lib/env_file.sh`` refuses the same on the host, before any container starts.
"""

import re
from collections.abc import Iterator
from typing import Final

LONGEST_VALUE_BYTES: Final = 32_768
"""Compose stops at a line of 64 KiB, and no key is as long as this."""

ENTRY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
PRINTABLE_ASCII: Final = re.compile(r"[ -~]*")


def value_fault(value: str) -> str | None:
    """What is wrong with a value, in words that continue its name; None if it may stay.

    Also of a value that came by the environment: into a container a quote comes as part of the value. A ``$`` is no
    fault there, since nobody reads the environment as a template.
    """
    if "\n" in value or "\r" in value:
        return "has a line break in it"
    if not PRINTABLE_ASCII.fullmatch(value):
        return "has a character that is not printable ASCII"
    if value != value.strip(" "):
        return "begins or ends with a space"
    if value.startswith(("'", '"')):
        return "begins with a quote; write it without quotes"
    if " #" in value:
        return "has a space and then #, where a comment would begin"
    return f"is longer than {LONGEST_VALUE_BYTES} bytes" if len(value) > LONGEST_VALUE_BYTES else None


def file_faults(text: str) -> Iterator[str]:
    """What is wrong with the file, a line for each; names and line numbers only, as values may be secret."""
    names: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        entry = ENTRY.fullmatch(line.removesuffix("\r"))
        if not entry:
            yield f"line {number} is neither a comment nor KEY=VALUE, with nothing before the key"
            continue
        name, value = entry[1], line.partition("=")[2]
        if name in names:
            yield f"line {number} has {name} for the second time"
        names.add(name)
        if fault := value_fault(value) or _template_fault(value):
            yield f"line {number}: {name} {fault}"


def _template_fault(value: str) -> str | None:
    if "$" in value:
        return "has a $, which Compose would take for a variable; in an address write %24, else make another secret"
    return None
