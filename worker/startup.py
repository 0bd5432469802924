"""What must be true before the worker starts; each check fails with one message that says what to do."""

from typing import Any

import redis

from config.settings import Settings
from models.failures import PlatformFailure
from services.redis_client import connect
from services.supabase_client import CREDENTIALS_REFUSED_CODES, SCHEMA_VERSION, SupabaseClient
from services.url_guard import TrustedHosts


class StartupError(Exception):
    """The worker cannot start; the message is for the operator."""


def check_settings(settings: Settings) -> None:
    """Check what the settings' own types cannot.

    Raises:
        StartupError: a setting is malformed.
    """
    try:
        TrustedHosts.parse(settings.image_url_trusted_hosts)
    except ValueError as error:
        raise StartupError(f"IMAGE_URL_TRUSTED_HOSTS: {error}. It takes host or host:port, comma-separated.") from None


def check_redis(name: str, url: str) -> None:
    """Check that a Redis answers and is new enough.

    Raises:
        StartupError: it does not, or is not.
    """
    where = url.rpartition("@")[2].partition("?")[0].removeprefix("redis://").removeprefix("rediss://")
    try:
        info: Any = connect(url).info("server")
        version = str(info["redis_version"])
    except redis.AuthenticationError:
        raise StartupError(f"{name}: Redis at {where} refuses the password. Check {name} in .env.") from None
    except redis.RedisError as error:
        raise StartupError(
            f"{name}: Redis at {where} does not answer ({type(error).__name__}). Start it, or check {name} in .env."
        ) from None
    if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
        raise StartupError(f"{name}: Redis at {where} is {version}; BLMOVE needs 6.2 or newer.")


def check_database(store: SupabaseClient) -> None:
    """Check that Supabase answers, takes the key and has the worker's migrations up to the version this worker needs.

    A newer version is fine: what a newer worker brought keeps the older names, for just such a deploy.

    Raises:
        StartupError: it does not, or has not.
    """
    try:
        version = store.schema_version()
    except PlatformFailure as error:
        if error.reason in CREDENTIALS_REFUSED_CODES:
            raise StartupError(
                "SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key. It must be the service role key of the project."
            ) from None
        raise StartupError(
            f"SUPABASE_URL: Supabase does not answer ({error.reason}). Check SUPABASE_URL in .env."
        ) from None
    if version is None or version < SCHEMA_VERSION:
        found = "does not have the worker's migrations" if version is None else f"has version {version} of them"
        raise StartupError(
            f"This worker needs version {SCHEMA_VERSION} of the worker's migrations, and the database {found}: apply "
            "supabase/migrations/ (supabase db push, or the files in order in the SQL editor), then start again."
        )
