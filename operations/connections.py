"""Redis and the database for an operator: short time limits, and plain words when one does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx
import redis

from models.failures import PlatformFailure, PlatformLocked
from operations.errors import Unreachable
from operations.settings import PlatformSettings, QueueSettings
from services.platform.errors import UNKNOWN_FUNCTION_CODES
from services.platform.reports import MIGRATIONS, REPORT_TIMEOUT, PlatformReports, Report
from services.platform.supabase_client import SupabaseClient
from services.queue.connection import connect
from services.queue.refusals import words_of

REDIS_TIMEOUT_SECONDS: Final = 4.0
"""For one answer; a person waits for it."""

CANCELLED_BY_TIME_LIMIT: Final = "57014"
"""SQLSTATE query_canceled (PostgreSQL, appendix A)."""


@contextmanager
def redis_of(settings: QueueSettings) -> Iterator["redis.Redis"]:
    """A client for the platform's Redis.

    Raises:
        Unreachable: it did not answer, or did not do what was asked, while it was used.
    """
    client = connect(settings.redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS)
    try:
        yield client
    except redis.RedisError as error:
        raise Unreachable(
            f'Redis at {urlsplit(settings.redis_url).hostname} did not do what was asked ("{words_of(error)}").'
            " Check REDIS_URL."
        ) from None
    finally:
        client.close()


@contextmanager
def reports_of(settings: PlatformSettings, timeout: httpx.Timeout = REPORT_TIMEOUT) -> Iterator[PlatformReports]:
    """The platform's database.

    Raises:
        Unreachable: it did not answer while it was asked.
    """
    client = SupabaseClient(
        settings.supabase_url, settings.supabase_service_role_key.get_secret_value(), timeout=timeout
    )
    try:
        yield PlatformReports(client)
    except PlatformFailure as failure:
        raise Unreachable(words_about(failure, urlsplit(settings.supabase_url).hostname or "")) from None
    finally:
        client.close()


def words_about(failure: PlatformFailure, host: str) -> str:
    """What is wrong with the database, and what to do [pure]."""
    said = f"{failure.reason}: {failure.detail}" if failure.detail else failure.reason
    if failure.reason in UNKNOWN_FUNCTION_CODES and failure.operation in MIGRATIONS:
        return (
            f"The database at {host} does not have the function {failure.operation}: apply"
            f" supabase/migrations/{MIGRATIONS[Report(failure.operation)]} (`supabase db push`, or the file in the SQL"
            " editor)."
        )
    if failure.reason == CANCELLED_BY_TIME_LIMIT:
        return (
            f"The database at {host} gave up at its time limit ({said}). Ask for less with --since, or ask"
            f" {failure.operation} in the SQL editor, where the limit can be raised: set statement_timeout = '5min'."
        )
    if isinstance(failure, PlatformLocked):
        return f'Supabase at {host} lets nobody in with this key ("{said}"). Check SUPABASE_SERVICE_ROLE_KEY.'
    return f'Supabase at {host} did not answer as it should ("{said}"). Check SUPABASE_URL.'
