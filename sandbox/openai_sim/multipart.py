"""[pure] A strict reader of ``multipart/form-data`` bodies (RFC 7578, RFC 2046 section 5.1).

Strict on purpose: a simulator that repairs a client's broken form hides the client's bug. Parts are views into the
body, so reading copies no picture.
"""

import re
from dataclasses import dataclass
from email.message import Message
from typing import Final

from sandbox.openai_sim.errors import unreadable_multipart, unsupported_content_type

MAXIMUM_PARTS: Final = 100
"""Far above what the endpoint takes, so that too many pictures are refused by name and not here."""

MAXIMUM_PART_HEADER_BYTES: Final = 8 * 1024
"""A part's header holds two short lines; 8 KiB is what web servers allow for a whole request head."""

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
"""RFC 2046 section 5.1.1: 1 to 70 characters of this set, not ending with a space."""

_LINE_END: Final = b"\r\n"
_HEADER_END: Final = b"\r\n\r\n"
_PLAIN_ENCODINGS: Final = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Part:
    """One field of the form; ``filename`` and ``content_type`` are ``None`` where the client sent none."""

    name: str
    filename: str | None
    content_type: str | None
    content: memoryview

    def text(self) -> str:
        """The content as UTF-8 text; raises :class:`ApiError` for other bytes."""
        try:
            return str(self.content, "utf-8")
        except UnicodeDecodeError as error:
            raise unreadable_multipart(f"the field '{self.name}' is not UTF-8") from error


def parse_multipart(content_type: str, body: bytes | bytearray) -> list[Part]:
    """All parts of ``body`` in order; raises :class:`ApiError` (400) at the first thing that is not by the book."""
    boundary = _boundary(content_type)
    opening = b"--" + boundary
    delimiter = _LINE_END + opening
    if not body.startswith(opening):
        raise unreadable_multipart("the body does not start with its boundary")
    view = memoryview(body)
    parts: list[Part] = []
    position = len(opening)
    while not body.startswith(b"--", position):
        if len(parts) == MAXIMUM_PARTS:
            raise unreadable_multipart(f"more than {MAXIMUM_PARTS} parts")
        if not body.startswith(_LINE_END, position):
            raise unreadable_multipart("a boundary is not followed by a line end")
        head_start = position + len(_LINE_END)
        head_end = body.find(_HEADER_END, position, head_start + MAXIMUM_PART_HEADER_BYTES)
        if head_end < head_start:
            raise unreadable_multipart("a part has no header")
        content_start = head_end + len(_HEADER_END)
        content_end = body.find(delimiter, content_start)
        if content_end < 0:
            raise unreadable_multipart("the body ends without its closing boundary")
        parts.append(_part(bytes(view[head_start:head_end]), view[content_start:content_end]))
        position = content_end + len(delimiter)
    if bytes(view[position + 2 :]) not in {b"", _LINE_END}:
        raise unreadable_multipart("something follows the closing boundary")
    return parts


def _boundary(content_type: str) -> bytes:
    """The boundary named in the request's ``Content-Type``."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        raise unsupported_content_type(content_type)
    boundary = header.get_boundary()
    if boundary is None or _BOUNDARY.fullmatch(boundary) is None:
        raise unreadable_multipart("the boundary is missing or malformed")
    return boundary.encode("ascii")


def _part(head: bytes, content: memoryview) -> Part:
    """One part from its header block (without the blank line) and its content."""
    header = Message()
    try:
        lines = head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError as error:
        raise unreadable_multipart("a part's header is not UTF-8") from error
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
            raise unreadable_multipart("a part's header line is malformed")
        if name in header:
            raise unreadable_multipart(f"a part repeats the header '{name}'")
        header[name] = value.strip()
    if header.get_content_disposition() != "form-data":
        raise unreadable_multipart("a part's disposition is not form-data")
    if header.get("Content-Transfer-Encoding", "").lower() not in _PLAIN_ENCODINGS:
        raise unreadable_multipart("a part has a transfer encoding (RFC 7578 section 4.7)")
    field = header.get_param("name", header="content-disposition")
    if not isinstance(field, str) or not field:
        raise unreadable_multipart("a part has no name")
    filename = header.get_param("filename", header="content-disposition")
    return Part(
        name=field,
        filename=filename if isinstance(filename, str) else None,
        content_type=header.get_content_type() if "Content-Type" in header else None,
        content=content,
    )
