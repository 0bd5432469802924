"""Elements as the queue gives them: whole, or, when they are longer than any task, only their size and both ends."""

from typing import Final
from uuid import UUID

from services.queue.task_queue import Element, LongElement, TransferLimits
from worker.elements import MAX_ELEMENT_BYTES, MAX_SEARCHED_BYTES, session_id_in_ends, session_id_of

TRANSFER_LIMITS: Final = TransferLimits(whole_bytes=MAX_ELEMENT_BYTES, end_bytes=MAX_SEARCHED_BYTES)
"""What could be a task is read whole; of the rest, what is searched for a session."""


def session_named_by(element: Element) -> UUID | None:
    """The session an element is about, for telling whether a task still waits for a session."""
    if isinstance(element, LongElement):
        return session_id_in_ends(element.head, element.tail)
    return session_id_of(element)
