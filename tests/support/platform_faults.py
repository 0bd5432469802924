"""What an operator or a bad day does to the real database and the real Storage, and its undoing."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from sandbox.platform.producer import Producer
from sandbox.servers.supabase import BUCKET


@contextmanager
def _administering(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    # A replica's session checks no foreign keys: a bucket can be renamed under its objects.
    with psycopg.connect(
        dsn, autocommit=True, options="-c default_transaction_read_only=off -c session_replication_role=replica"
    ) as connection:
        yield connection


@contextmanager
def read_only_database(dsn: str) -> Iterator[None]:
    """The database takes no writes, as after a failover or with a full disk; sessions that set otherwise still may."""
    with _administering(dsn) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


def rename_bucket(dsn: str, old: str, new: str) -> None:
    """Rename a bucket of the real Storage."""
    with _administering(dsn) as connection:
        renamed = connection.execute("UPDATE storage.buckets SET id = %s, name = %s WHERE id = %s", [new, new, old])
        assert renamed.rowcount == 1


@contextmanager
def bucket_renamed(dsn: str) -> Iterator[None]:
    """The platform's bucket is not where it was."""
    rename_bucket(dsn, BUCKET, "renamed")
    try:
        yield
    finally:
        rename_bucket(dsn, "renamed", BUCKET)


@contextmanager
def bucket_limited(dsn: str, *, size_bytes: int | None = None, types: list[str] | None = None) -> Iterator[None]:
    """The platform's bucket takes only files of these types and up to this size."""

    def limit(size_bytes: int | None, types: list[str] | None) -> None:
        connection.execute(
            "UPDATE storage.buckets SET file_size_limit = %s, allowed_mime_types = %s WHERE id = %s",
            [size_bytes, types, BUCKET],
        )

    with _administering(dsn) as connection:
        limit(size_bytes, types)
        try:
            yield
        finally:
            limit(None, None)


@contextmanager
def frozen_balances(platform: Producer) -> Iterator[None]:
    """Users' balances refuse every change, as after a constraint that somebody added."""
    platform.execute("ALTER TABLE user_credits ADD CONSTRAINT frozen CHECK (balance < 0) NOT VALID")
    try:
        yield
    finally:
        platform.execute("ALTER TABLE user_credits DROP CONSTRAINT frozen")


@contextmanager
def shoppers_balances_refused(platform: Producer, code: str) -> Iterator[None]:
    """Shoppers' balances refuse every change with this SQLSTATE, as after a trigger that somebody added."""
    platform.execute(
        f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '{code}'; END $$"
    )
    platform.execute("CREATE TRIGGER no BEFORE UPDATE ON store_shopper_credits FOR EACH ROW EXECUTE FUNCTION no()")
    try:
        yield
    finally:
        platform.execute("DROP FUNCTION no() CASCADE")
