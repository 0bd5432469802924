"""[pure] Channel routing (Pattern 3, FR-6): what differs between b2b and b2c on the worker's side.

Tables and balances are routed in SQL, in the transaction that changes them (``supabase/migrations/``).
"""

import hashlib
from uuid import UUID

from models.generation import Channel
from models.task_payload import GenerationTask


def result_path(channel: Channel, owner_id: UUID, session_id: UUID) -> str:
    """Where a finished picture is stored in the bucket (FR-6.4)."""
    if channel is Channel.B2B:
        return f"stores/{owner_id}/generated/{session_id}.jpg"
    return f"generated/{owner_id}/{session_id}.jpg"


def safety_identifier(task: GenerationTask) -> str:
    """A stable name for the task's owner that tells the provider nothing: 64 hexadecimal digits."""
    return hashlib.sha256(f"wearon:{task.channel}:{task.owner_id}".encode()).hexdigest()
