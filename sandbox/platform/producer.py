"""Plays the platform: charges a credit, inserts the session, pushes the task, in this order, as the Next.js app does.

Everything goes through SQL and Redis; no code of the worker is used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

import redis

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.platform.state import PlatformDatabase

QUEUE_KEY = "wearon:tasks:generation"
"""The list the platform pushes to (platform contract)."""

PAYLOAD_VERSION = 1

DEFAULT_PROMPT = "A photo-realistic picture of the person in the first image wearing the outfit in the second."
"""What the producer sends when the person wrote nothing."""


class StoreMode(StrEnum):
    """The three ways a store's generation is charged."""

    ABSORB = "absorb"
    """The store's balance."""
    RESELL = "resell"
    """The shopper's balance with the store."""
    OVERAGE = "overage"
    """A subscribed store at zero: nothing is deducted, an overage is billed outside and then logged."""


class InsufficientCredits(Exception):
    """The platform would have answered 402; nothing was inserted or pushed."""


@dataclass(frozen=True, slots=True)
class Store:
    """A store. ``shopper_email``: who shops there, sent with every request in every mode; ``None``: it sends none."""

    store_id: UUID
    mode: StoreMode
    shopper_email: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """One task as the platform made it. ``payload`` is the queue element, pushed or not.

    ``charged_store`` and ``credits_used`` say what a b2b charge took, and from whom by the store's ``mode``.
    """

    session: SessionRef
    owner_id: UUID
    request_id: str
    payload: str
    charged_store: Store | None = None
    credits_used: int = 1


class Producer(PlatformDatabase):
    """The platform's side of the queue, with its view of the database."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        super().__init__(dsn)
        self._redis = redis.Redis.from_url(redis_url, decode_responses=True)

    def close(self) -> None:
        """Close both connections."""
        super().close()
        self._redis.close()

    def drop_redis_connections(self) -> None:
        """Connect anew for the next push, as the app's client does after an error."""
        self._redis.connection_pool.disconnect()

    def new_user(self, *, balance: int = 10) -> UUID:
        """A b2c user with ``balance`` credits from the sign-up bonus."""
        user_id = uuid4()
        self.execute(
            "INSERT INTO user_credits (user_id, balance, total_earned) VALUES (%s, %s, %s)", user_id, balance, balance
        )
        self.execute(
            "INSERT INTO credit_transactions (user_id, amount, type) VALUES (%s, %s, 'signup_bonus')", user_id, balance
        )
        return user_id

    def new_store(self, mode: StoreMode = StoreMode.ABSORB, *, balance: int = 10) -> Store:
        """A store that will be charged by ``mode``; ``balance`` is the paying party's (ignored for overage).

        Its shopper has an account only where shoppers pay themselves; see :meth:`let_shopper_pay_once`.
        """
        store = Store(uuid4(), mode, f"shopper-{uuid4()}@example.com")
        self.execute(
            "INSERT INTO stores (id, name, billing_mode, subscription_tier) VALUES (%s, %s, %s, %s)",
            store.store_id,
            f"sandbox {mode} store",
            "resell_mode" if mode is StoreMode.RESELL else "absorb_mode",
            "growth" if mode is StoreMode.OVERAGE else None,
        )
        self.execute(
            "INSERT INTO store_credits (store_id, balance, total_purchased) VALUES (%s, %s, %s)",
            store.store_id,
            *([balance] * 2 if mode is StoreMode.ABSORB else [0] * 2),
        )
        if mode is StoreMode.RESELL:
            self._open_shopper_account(store, balance)
        return store

    def _open_shopper_account(self, store: Store, balance: int) -> None:
        self.execute(
            "INSERT INTO store_shopper_credits (store_id, shopper_email, balance, total_purchased)"
            " VALUES (%s, %s, %s, %s)",
            store.store_id,
            store.shopper_email,
            balance,
            balance,
        )

    def let_shopper_pay_once(self, store: Store, *, balance: int = 10) -> Submitted:
        """The past of a store that resold before it paid itself: its shopper has an account and has spent from it."""
        self._open_shopper_account(store, balance)
        earlier = self.submit_b2b([], store=replace(store, mode=StoreMode.RESELL), push=False)
        self.set_status(earlier.session, SessionStatus.COMPLETED)
        return earlier

    def submit_b2c(
        self,
        image_urls: Sequence[str],
        *,
        user_id: UUID | None = None,
        prompt: str = DEFAULT_PROMPT,
        credits_used: int = 1,
        push: bool = True,
    ) -> Submitted:
        """Charge the user (a new one if ``None``), insert the session, push the task. Raises InsufficientCredits."""
        user_id = user_id or self.new_user()
        if not self.value("SELECT deduct_credits(%s, %s)", user_id, credits_used):
            raise InsufficientCredits
        session_id = self.value(
            "INSERT INTO generation_sessions (user_id, status, prompt, credits_used)"
            " VALUES (%s, 'queued', %s, %s) RETURNING id",
            user_id,
            prompt,
            credits_used,
        )
        session = SessionRef(Channel.B2C, session_id)
        submitted = self._submitted(session, user_id, f"req_{uuid4()}", image_urls, prompt, push=push)
        return replace(submitted, credits_used=credits_used)

    def submit_b2b(
        self,
        image_urls: Sequence[str],
        *,
        mode: StoreMode = StoreMode.ABSORB,
        store: Store | None = None,
        prompt: str = DEFAULT_PROMPT,
        credits_used: int = 1,
        push: bool = True,
        overage_line_is_lost: bool = False,
        metadata_is_lost: bool = False,
    ) -> Submitted:
        """Charge ``store`` (a new one of ``mode`` if ``None``), insert, push. Raises InsufficientCredits.

        The ledger line and the metadata of an overage are written after the outside charge, and either may get lost.
        """
        store = store or self.new_store(mode)
        request_id = str(uuid4())
        is_overage = not self._deduct(store, credits_used, request_id)
        if is_overage and not overage_line_is_lost:
            self.execute("SELECT log_store_overage(%s, %s)", store.store_id, request_id)
        metadata = None if metadata_is_lost or not is_overage else _outside_charge()
        session_id = self.value(
            "INSERT INTO store_generation_sessions"
            " (store_id, request_id, shopper_email, status, prompt, credits_used, metadata)"
            " VALUES (%s, %s, %s, 'queued', %s, %s, %s) RETURNING id",
            store.store_id,
            request_id,
            store.shopper_email,
            prompt,
            credits_used,
            metadata,
        )
        session = SessionRef(Channel.B2B, session_id)
        submitted = self._submitted(session, store.store_id, request_id, image_urls, prompt, push=push)
        charged = replace(store, mode=StoreMode.OVERAGE) if is_overage else store
        return replace(submitted, charged_store=charged, credits_used=credits_used)

    def push(self, payload: str, *, is_oldest: bool = False) -> None:
        """LPUSH one queue element, whatever it is; the oldest lies at the other end, as if it had waited longest."""
        if is_oldest:
            self._redis.rpush(QUEUE_KEY, payload)
        else:
            self._redis.lpush(QUEUE_KEY, payload)

    def queue_length(self) -> int:
        """Elements nobody has taken yet."""
        length: int = self._redis.llen(QUEUE_KEY)  # type: ignore[assignment] # redis-py types both of its clients as one
        return length

    def _deduct(self, store: Store, credits_used: int, request_id: str) -> bool:
        """Whether a balance paid; ``False``: a subscribed store at zero, charged outside."""
        if store.mode is StoreMode.RESELL:
            paid = self.value(
                "SELECT deduct_store_shopper_credits(%s, %s, %s, %s)",
                store.store_id,
                store.shopper_email,
                credits_used,
                request_id,
            )
        else:
            paid = self.value("SELECT deduct_store_credits(%s, %s, %s)", store.store_id, credits_used, request_id)
        if not paid and store.mode is not StoreMode.OVERAGE:
            raise InsufficientCredits
        return bool(paid)

    def _submitted(
        self,
        session: SessionRef,
        owner_id: UUID,
        request_id: str,
        image_urls: Sequence[str],
        prompt: str,
        *,
        push: bool,
    ) -> Submitted:
        owner_key = "store_id" if session.channel is Channel.B2B else "user_id"
        payload = json.dumps(
            {
                "task_id": str(uuid4()),
                "channel": session.channel,
                owner_key: str(owner_id),
                "session_id": str(session.session_id),
                "image_urls": list(image_urls),
                "prompt": prompt,
                "request_id": request_id,
                "version": PAYLOAD_VERSION,
                "created_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
        )
        if push:
            self.push(payload)
        return Submitted(session, owner_id, request_id, payload)


def _outside_charge() -> str:
    """What the platform notes about an overage on the session's row."""
    return json.dumps({"overage_charge_id": f"ch_{uuid4().hex}", "overage_tier": "growth"})
