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
"""How long to follow a task: it may take 300 s, wait for its turn before that, and be run twice."""

DEFAULT_PICTURES: Final = (str(SAMPLES / "person-1.jpg"), str(SAMPLES / "t-shirt.png"))


@dataclass(frozen=True, slots=True)
class Order:
    """The task a person asks for on the command line; ``pictures`` are files or http(s) URLs."""

    channel: Channel
    mode: StoreMode = StoreMode.ABSORB
    prompt: str = DEFAULT_PROMPT
    pictures: Sequence[str] = DEFAULT_PICTURES


def is_url(picture: str) -> bool:
    """Whether the picture is a URL, which goes to the worker unchanged; anything else is a file, uploaded first."""
    return picture.startswith(("http://", "https://"))


def push(home: SandboxHome, console: Console, order: Order) -> int:
    """Push the task and follow it; returns the exit status.

    Raises:
        SandboxIsNotRunning: the sandbox does not run, or has ended meanwhile.
        UnknownPictureFormat: a file's name does not end like a picture's.
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
    """The lines about a settled session, for a person."""
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
