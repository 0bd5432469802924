"""Pushes one task into the running sandbox, the way the platform does, and follows it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from models.generation import Channel, SessionStatus
from sandbox.console.following import Journey, follow
from sandbox.console.progress import Console, Style
from sandbox.lasting.home import SandboxHome, SandboxIsNotRunning
from sandbox.pictures.samples import SAMPLES
from sandbox.platform.producer import DEFAULT_PROMPT, Producer, Store, StoreMode, Submitted
from sandbox.platform.state import SessionRow
from sandbox.platform.uploads import PlatformStorage

EXIT_COMPLETED: Final = 0
EXIT_FAILED: Final = 1

FOLLOW_SECONDS: Final = 900.0
"""A task may take 300 s of its own time, wait for its turn before, and be run twice."""

DEFAULT_PICTURES: Final = (str(SAMPLES / "person-1.jpg"), str(SAMPLES / "t-shirt.png"))


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for on the command line; ``pictures`` are files or http(s) URLs."""

    channel: Channel
    mode: StoreMode = StoreMode.ABSORB
    prompt: str = DEFAULT_PROMPT
    pictures: Sequence[str] = DEFAULT_PICTURES


def is_url(picture: str) -> bool:
    """Whether it goes to the worker as it is; everything else is a file that is uploaded first."""
    return picture.startswith(("http://", "https://"))


def push(home: SandboxHome, console: Console, order: Order) -> int:
    """Push and follow; the exit status says how it ended.

    Raises:
        SandboxIsNotRunning: there is nothing to push into, or not any more.
        UnknownPictureFormat: a file has an ending that is no picture's.
        OSError: a file cannot be read.
        NotFinished: the session stayed open for too long.
    """
    world, _ = home.running_world()
    with world.producer() as platform, PlatformStorage(world.supabase.url, world.supabase.service_role_key) as storage:

        def still_running() -> None:
            if not home.is_running:
                raise SandboxIsNotRunning(home.directory)

        pushed_at = time.monotonic()
        submitted = _submit(platform, storage, order)
        console.line(f"Pushed session {submitted.session.session_id} ({order.channel}).")
        journey = Journey(str(order.channel), submitted.session, pushed_at)
        [(_, row)] = follow(platform, [journey], console, limit_seconds=FOLLOW_SECONDS, check=still_running)
    for line in outcome(row):
        console.line(f"  {line}", Style.GOOD if row.status is SessionStatus.COMPLETED else Style.BAD)
    return EXIT_COMPLETED if row.status is SessionStatus.COMPLETED else EXIT_FAILED


def outcome(row: SessionRow) -> list[str]:
    """What a person wants to know of a session that is over."""
    if row.status is not SessionStatus.COMPLETED:
        return [f"message for the person: {row.error_message}"]
    return [
        f"picture: {row.generated_image_url}",
        f"tokens: {row.input_tokens} in, {row.output_tokens} out; price: {row.estimated_cost_usd} USD",
    ]


def _submit(platform: Producer, storage: PlatformStorage, order: Order) -> Submitted:
    """A new owner with 10 credits, the pictures in Storage, and then the task."""
    if order.channel is Channel.B2C:
        user_id = platform.new_user()
        return platform.submit_b2c(_urls(storage, order, user_id), user_id=user_id, prompt=order.prompt)
    store: Store = platform.new_store(order.mode)
    return platform.submit_b2b(_urls(storage, order, store.store_id), store=store, prompt=order.prompt)


def _urls(storage: PlatformStorage, order: Order, owner_id: UUID) -> list[str]:
    return [
        picture if is_url(picture) else storage.put_picture(Path(picture), order.channel, owner_id)
        for picture in order.pictures
    ]
