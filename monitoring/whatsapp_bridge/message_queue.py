"""The messages that Meta has not accepted yet, in SQLite: they survive a killed process and a lost power supply.

One row per message and recipient, in the order in which they came. WAL with ``synchronous=FULL``: what ``add`` has
returned from is on disk. A row is removed when Meta has accepted the message; dying between the two sends it again,
which cannot be helped because Meta knows no idempotency key (ADR 0124).
"""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from monitoring.whatsapp_bridge.pacing import lent_after
from monitoring.whatsapp_bridge.signature import TIMESTAMP_LEEWAY_SECONDS

MESSAGES_MAX: Final = 1000
"""Rows. More than a storm makes (Grafana groups), some 2 MB, and an hour and more of sending to one recipient."""

DUPLICATE_WINDOW_SECONDS: Final = 900
"""The same news within this is Grafana's second try after an answer that was lost. Shorter than the time after which
Grafana repeats on purpose what still fires, which is hours."""

USEFUL_SECONDS: Final = 6 * 3600
"""A message that is older is not sent any more: what still fires has been said again by Grafana meanwhile, and a
telephone that rings for last night's alerts hides today's."""

SIGNATURES_KEPT_SECONDS: Final = 2 * TIMESTAMP_LEEWAY_SECONDS
"""A signature's time may be in the future by the leeway, so it stays good for twice as long."""

BUSY_SECONDS: Final = 5.0
"""For the other connection's lock (``send-test`` in the same container)."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  recipient TEXT NOT NULL,
  parameters TEXT NOT NULL,
  taken_at REAL NOT NULL,
  unreadable_answers INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS messages_of_recipient ON messages (recipient, id);
CREATE TABLE IF NOT EXISTS news (key TEXT PRIMARY KEY, taken_at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS signatures (signature TEXT PRIMARY KEY, taken_at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS recipients (recipient TEXT PRIMARY KEY, lent_until REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
"""

NOBODY_YET: Final = ""
"""The recipient of messages that came while none was set."""

LAST_ACCEPTED: Final = "last_accepted"
LAST_LOOK: Final = "last_look"


class QueueUnusable(Exception):
    """The queue cannot be read or written; the text says where it is and what SQLite said."""


class Taken(Enum):
    """What became of a notification."""

    TAKEN = "taken"
    REPLAYED = "replayed"
    DUPLICATE = "duplicate"
    FULL = "queue_full"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message to one recipient."""

    id: int
    recipient: str
    parameters: tuple[str, ...]
    taken_at_seconds: float
    unreadable_answers: int
    """Answers with a code that is in no table, so far."""
    lent_until_seconds: float
    """Of the recipient (``pacing.earliest``)."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits."""

    messages: int
    oldest_taken_at_seconds: float | None
    last_accepted_at_seconds: float | None


class MessageQueue:
    """The queue; every method may be called from any thread.

    Raises:
        QueueUnusable: from every method, when SQLite cannot do it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._translated():
            # Autocommit, so that each transaction below begins and ends where it says so.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(SCHEMA)

    def add(
        self,
        messages: Sequence[Sequence[str]],
        recipients: Sequence[str],
        *,
        news: str,
        signature: str,
        now_seconds: float,
    ) -> Taken:
        """Take a notification's messages for every recipient: all of them or none, on disk when this returns."""
        with self._transaction() as connection:
            self._forget(connection, now_seconds)
            if _has(connection, "SELECT 1 FROM signatures WHERE signature = ?", signature):
                return Taken.REPLAYED
            if _has(connection, "SELECT 1 FROM news WHERE key = ?", news):
                connection.execute("INSERT INTO signatures VALUES (?, ?)", (signature, now_seconds))
                return Taken.DUPLICATE
            (there,) = connection.execute("SELECT count(*) FROM messages").fetchone()
            if there + len(messages) * len(recipients) > MESSAGES_MAX:
                return Taken.FULL
            connection.executemany(
                "INSERT INTO messages (recipient, parameters, taken_at) VALUES (?, ?, ?)",
                [(to, json.dumps(list(parameters)), now_seconds) for parameters in messages for to in recipients],
            )
            connection.execute("INSERT INTO news VALUES (?, ?)", (news, now_seconds))
            connection.execute("INSERT INTO signatures VALUES (?, ?)", (signature, now_seconds))
        return Taken.TAKEN

    def heads(self, *, without: Collection[int] = ()) -> list[Waiting]:
        """Each recipient's oldest message whose id is not in ``without``, the oldest of all first."""
        with self._transaction() as connection:
            rows = connection.execute(
                """
                SELECT m.id, m.recipient, m.parameters, m.taken_at, m.unreadable_answers, coalesce(r.lent_until, 0)
                FROM messages m LEFT JOIN recipients r USING (recipient)
                WHERE m.id IN (
                    SELECT min(id) FROM messages WHERE id NOT IN (SELECT value FROM json_each(?)) GROUP BY recipient)
                ORDER BY m.id
                """,
                (json.dumps(list(without)),),
            ).fetchall()
        return [Waiting(i, to, tuple(json.loads(text)), at, tries, lent) for i, to, text, at, tries, lent in rows]

    def accepted(self, message: Waiting, now_seconds: float) -> None:
        """Meta has it: it leaves the queue, and its recipient's account is charged."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM messages WHERE id = ?", (message.id,))
            lent = lent_after(message.lent_until_seconds, now_seconds)
            connection.execute("INSERT OR REPLACE INTO recipients VALUES (?, ?)", (message.recipient, lent))
            connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (LAST_ACCEPTED, now_seconds))

    def count_unreadable(self, message: Waiting) -> None:
        """It was answered with a code that is in no table, and stays."""
        question = "UPDATE messages SET unreadable_answers = unreadable_answers + 1 WHERE id = ?"
        with self._transaction() as connection:
            connection.execute(question, (message.id,))

    def remove(self, message: Waiting) -> None:
        """It is given up."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM messages WHERE id = ?", (message.id,))

    def address(self, recipients: Sequence[str]) -> None:
        """Give what was taken while nobody was named to those who are named now."""
        with self._transaction() as connection:
            for to in recipients:
                connection.execute(
                    "INSERT INTO messages (recipient, parameters, taken_at) "
                    "SELECT ?, parameters, taken_at FROM messages WHERE recipient = ? ORDER BY id",
                    (to, NOBODY_YET),
                )
            if recipients:
                connection.execute("DELETE FROM messages WHERE recipient = ?", (NOBODY_YET,))

    def expire(self, now_seconds: float) -> int:
        """Remove what is too old to be of use; returns how many messages that were."""
        with self._transaction() as connection:
            gone = connection.execute("DELETE FROM messages WHERE taken_at < ?", (now_seconds - USEFUL_SECONDS,))
            return gone.rowcount

    def depth(self) -> Depth:
        """How much waits, and since when."""
        with self._transaction() as connection:
            number, oldest = connection.execute("SELECT count(*), min(taken_at) FROM messages").fetchone()
            last = connection.execute("SELECT at FROM marks WHERE name = ?", (LAST_ACCEPTED,)).fetchone()
        return Depth(number, oldest, last[0] if last else None)

    def check_writable(self, now_seconds: float) -> None:
        """Write something small: a full disk shows only so."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (LAST_LOOK, now_seconds))

    def durability(self) -> tuple[str, int]:
        """SQLite's ``journal_mode`` and ``synchronous`` (2 is FULL), as they are in force."""
        with self._lock, self._translated():
            (mode,) = self._connection.execute("PRAGMA journal_mode").fetchone()
            (level,) = self._connection.execute("PRAGMA synchronous").fetchone()
        return mode, level

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    @staticmethod
    def _forget(connection: sqlite3.Connection, now_seconds: float) -> None:
        connection.execute("DELETE FROM news WHERE taken_at < ?", (now_seconds - DUPLICATE_WINDOW_SECONDS,))
        connection.execute("DELETE FROM signatures WHERE taken_at < ?", (now_seconds - SIGNATURES_KEPT_SECONDS,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything in it, or nothing; what was written is on disk when it ends."""
        with self._lock, self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")  # can fail, too: this is where a full disk shows
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise QueueUnusable(f"the queue {self._path} cannot be used: {error}") from error


def _has(connection: sqlite3.Connection, question: str, value: str) -> bool:
    return connection.execute(question, (value,)).fetchone() is not None
