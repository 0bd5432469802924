"""Plays the others on the platform that act on the worker's rows and balances, step by step as they do it.

Every step is a call of its own, in a transaction of its own: whoever drives them decides what happens in between. No
step looks at a row again; that is how the live platform does it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx

from models.generation import Channel, SessionRef
from sandbox.platform.producer import StoreMode, Submitted
from sandbox.platform.state import SESSION_TABLES
from sandbox.servers.supabase import BUCKET

STUCK_AGE: Final = timedelta(minutes=10)
"""What is open and older when the job begins is on its list."""

KEPT_FOR: Final = timedelta(hours=6)
"""Links and files live as long as this (platform contract)."""

TIMED_OUT: Final = "Generation timed out. Your credit was refunded."
PUSH_FAILED: Final = "We could not start your try-on. Please try again."
EXPIRED: Final = "expired"

PUBLIC_FOLDERS: Final = ("uploads", "generated")
"""Only files that lie directly in them are cleaned up; what is in folders below stays."""

Execute = Callable[..., object]
"""Runs one statement with its values, in a transaction of its own (``PlatformDatabase.execute``)."""
Fetch = Callable[..., Any]
"""The first column of the first row of a query (``PlatformDatabase.value``)."""


@dataclass(frozen=True, slots=True)
class StuckSession:
    """One entry of the job's list."""

    session: SessionRef
    user_id: UUID


def list_stuck(value: Fetch, at: datetime) -> list[StuckSession]:
    """What the stuck-session job reads once, at its start: open b2c sessions older than ten minutes, oldest first."""
    listed = value(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(id, user_id) ORDER BY created_at, id), '[]')"
        " FROM generation_sessions WHERE status IN ('processing', 'pending', 'queued') AND created_at < %s",
        at - STUCK_AGE,
    )
    return [StuckSession(SessionRef(Channel.B2C, UUID(session)), UUID(user)) for session, user in listed]


def refund_stuck(execute: Execute, stuck: StuckSession) -> None:
    """Step 1 of the job: one credit back, whatever has become of the session."""
    execute(
        "SELECT refund_credits(%s, 1, %s)",
        stuck.user_id,
        f"Stuck job recovery: session {stuck.session.session_id} timed out after 10 minutes",
    )


def fail_stuck(execute: Execute, stuck: StuckSession) -> None:
    """Step 2 of the job: failed, whatever the row holds by then; also when step 1 did not work."""
    execute(
        "UPDATE generation_sessions SET status = 'failed', error_message = %s, completed_at = now() WHERE id = %s",
        TIMED_OUT,
        stuck.session.session_id,
    )


def refund_failed_push(execute: Execute, submitted: Submitted) -> None:
    """Step 1 of a producer whose push raised: the charge is undone. For b2c the line names nobody."""
    store = submitted.charged_store
    if store is None:
        execute("SELECT refund_credits(%s, 1, 'Queue error - refund')", submitted.owner_id)
    elif store.mode is StoreMode.ABSORB:
        execute("SELECT refund_store_credits(%s, %s, %s)", store.store_id, submitted.credits_used, submitted.request_id)
    elif store.mode is StoreMode.RESELL:
        execute(
            "SELECT refund_store_shopper_credits(%s, %s, %s, %s)",
            store.store_id,
            store.shopper_email,
            submitted.credits_used,
            submitted.request_id,
        )
    # An overage is given back outside; the ledger has no line for it.


def fail_failed_push(execute: Execute, submitted: Submitted) -> None:
    """Step 2 of a producer whose push raised, which does not prove that the task did not arrive."""
    execute(
        f"UPDATE {SESSION_TABLES[submitted.session.channel]} SET status = 'failed', error_message = %s WHERE id = %s",  # noqa: S608 - constants
        PUSH_FAILED,
        submitted.session.session_id,
    )


def expire_links(execute: Execute, at: datetime) -> None:
    """Daily clean-up of the rows: links of b2c sessions older than six hours become one word."""
    execute(
        "UPDATE generation_sessions SET generated_image_url = %s"
        " WHERE generated_image_url IS NOT NULL AND created_at < %s",
        EXPIRED,
        at - KEPT_FOR,
    )


def remove_old_files(storage: httpx.Client, at: datetime) -> list[str]:
    """Daily clean-up of Storage; the paths that went. ``storage`` has the base URL and a key that may do it."""
    removed: list[str] = []
    for folder in PUBLIC_FOLDERS:
        answer = storage.post(f"/storage/v1/object/list/{BUCKET}", json={"prefix": folder, "limit": 1000})
        for entry in answer.raise_for_status().json():
            # Hosted names are relative and folders have no id; the sandbox's API lists whole paths, those below, too.
            name = entry["name"].removeprefix(f"{folder}/")
            is_file_here = entry["id"] is not None and "/" not in name
            if is_file_here and datetime.fromisoformat(entry["created_at"]) < at - KEPT_FOR:
                removed.append(f"{folder}/{name}")
    if removed:
        storage.request("DELETE", f"/storage/v1/object/{BUCKET}", json={"prefixes": removed}).raise_for_status()
    return removed
