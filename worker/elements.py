"""[pure] What is this queue element? A task to run, or something to bury with a reason."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import ValidationError

from models.generation import Channel, SessionRef
from models.task_payload import SUPPORTED_VERSION, TASK_CONTRACT, GenerationTask

MAX_ELEMENT_BYTES: Final = 512 * 1024
"""Ten URLs and a prompt at their limits stay below this as JSON.stringify writes them: at most 4 bytes a character in
a URL, 6 where the prompt is control characters. The usual task has 2 KB."""

MAX_SEARCHED_BYTES: Final = 64 * 1024
"""How much of either end of an unreadable element is searched for a session id."""

SESSION_ID: Final = re.compile(
    rb'"session(?:_id|Id)"\s*:\s*"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"', re.ASCII
)

CHANNEL_FAULTS: Final = {
    "union_tag_invalid": f"channel: must be {' or '.join(Channel)}",
    "union_tag_not_found": "channel: Field required",
}
"""Our words for what is wrong with the field that decides the model; pydantic's own would repeat what stood there."""

RejectionReason = Literal["too_large", "not_json", "not_an_object", "unsupported_version", "invalid_fields"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The element is a task."""

    task: GenerationTask


@dataclass(frozen=True, slots=True)
class Rejected:
    """The element is no task we can run.

    ``detail`` names the faults without repeating any value; ``sessions`` are the rows it may belong to (both
    tables when the channel cannot be read).
    """

    reason: RejectionReason
    detail: str
    sessions: tuple[SessionRef, ...]
    request_id: str | None


def read_element(element: bytes) -> Accepted | Rejected:
    """Decide what a queue element is (FR-1.2). Never raises."""
    if len(element) > MAX_ELEMENT_BYTES:
        return read_ends(len(element), element[:MAX_SEARCHED_BYTES], element[-MAX_SEARCHED_BYTES:])
    try:
        content = json.loads(element)
    except (ValueError, RecursionError):
        return Rejected("not_json", "cannot be read as JSON", sessions_in_text(element), None)
    if not isinstance(content, dict):
        detail = f"a JSON {type(content).__name__}, not an object"
        return Rejected("not_an_object", detail, _sessions_named(element, content), None)

    version = content.get("version")
    if isinstance(version, int) and version > SUPPORTED_VERSION:
        detail = f"version {version}; this worker understands up to {SUPPORTED_VERSION}: update the worker"
        return _rejected(element, content, "unsupported_version", detail)
    try:
        return Accepted(TASK_CONTRACT.validate_json(element))
    except ValidationError as error:
        return _rejected(element, content, "invalid_fields", explain(error))


def read_ends(size_bytes: int, head: bytes, tail: bytes) -> Rejected:
    """The same for an element that is too large to be a task, of which only both ends are known."""
    detail = f"{size_bytes} bytes; at most {MAX_ELEMENT_BYTES} are accepted"
    return Rejected("too_large", detail, sessions_in_text(head + tail), None)


def explain(error: ValidationError) -> str:
    """The faults of a payload, a short phrase each; values are left out, they may be signed URLs."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        CHANNEL_FAULTS.get(fault["type"]) or f"{'.'.join(str(step) for step in fault['loc']) or 'task'}: {fault['msg']}"
        for fault in faults
    )


def session_id_of(element: bytes) -> UUID | None:
    """The session an element is about, for telling whether a task still waits for a session."""
    try:
        content = json.loads(element)
    except (ValueError, RecursionError):
        found = sessions_in_text(element)
    else:
        found = _sessions_named(element, content)
    return found[0].session_id if found else None


def session_id_in_ends(head: bytes, tail: bytes) -> UUID | None:
    """The same for an element of which only both ends are known."""
    found = sessions_in_text(head + tail)
    return found[0].session_id if found else None


def sessions_in_text(element: bytes) -> tuple[SessionRef, ...]:
    """The rows that unreadable bytes may be about; none unless exactly one session id is in sight."""
    searched = element
    if len(element) > 2 * MAX_SEARCHED_BYTES:
        searched = element[:MAX_SEARCHED_BYTES] + element[-MAX_SEARCHED_BYTES:]
    found = {UUID(match.decode()) for match in SESSION_ID.findall(searched)}
    if len(found) != 1:
        return ()
    session_id = found.pop()
    return tuple(SessionRef(channel, session_id) for channel in Channel)


def _rejected(element: bytes, content: dict[str, Any], reason: RejectionReason, detail: str) -> Rejected:
    request_id = content.get("request_id")
    return Rejected(
        reason, detail, _sessions_named(element, content), request_id if isinstance(request_id, str) else None
    )


def _sessions_named(element: bytes, content: object) -> tuple[SessionRef, ...]:
    """The rows a JSON element is about: by its field, else wherever the id stands (a wrapped task, a list of one)."""
    if isinstance(content, dict) and (session_id := _uuid(content.get("session_id"))):
        channel = content.get("channel")
        channels = [Channel(channel)] if channel in list(Channel) else list(Channel)  # it may be unhashable
        return tuple(SessionRef(channel, session_id) for channel in channels)
    if isinstance(content, str):  # serialised twice
        return sessions_in_text(content.encode(errors="replace"))
    return sessions_in_text(element)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
