"""The checks before the worker starts. Each fails with one message that says what to do."""

from typing import Any

import redis

from config.settings import Settings
from models.failures import PlatformFailure, PlatformLocked, PlatformUnavailable, StorageRefused
from services.fetching.url_guard import TrustedHosts
from services.platform.supabase_client import BUCKET, SCHEMA_VERSION, SupabaseClient
from services.queue.connection import connect, prove_writable
from worker.settlement.storage_probe import probe_storage
from worker.supervision.redis_diagnosis import Diagnosis, diagnose, faults_in


class StartupError(Exception):
    """The worker cannot start, and a person must act; the message is for them."""


class StartupAway(StartupError):
    """Something that is needed is unreachable; this may end by itself."""


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
    """Check that a Redis answers, takes writes, is new enough, no cluster, and keeps what it is given.

    Args:
        name: of the setting.
        url: its value.

    Raises:
        StartupAway: it is unreachable, or takes no writes at the moment.
        StartupError: the worker cannot work with it, or not with its configuration.
    """
    client = connect(url)
    try:
        info: Any = client.info()  # redis-py types one class for its sync and async clients
        faults = faults_in(info)
        if not faults:
            prove_writable(client)
    except redis.RedisError as error:
        faults = [diagnose(error, url, does_speak)]
    finally:
        client.close()
    for fault in faults:
        raise _startup_error(name, url, fault)


def does_speak(url: str) -> bool:
    """Whether a Redis answers at this address in the URL's scheme, whatever it answers."""
    client = connect(url)
    try:
        client.ping()
    except (redis.AuthenticationError, redis.ResponseError):
        return True
    except redis.RedisError as error:
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    finally:
        client.close()
    return True


def _startup_error(name: str, url: str, fault: Diagnosis) -> StartupError:
    where = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    kind = StartupAway if fault.may_pass else StartupError
    return kind(f"{name}: Redis at {where} {fault.finding}. {fault.advice.format(name=name)}")


def check_database(store: SupabaseClient) -> None:
    """Check that Supabase answers, takes the key and has the worker's migrations up to the version this worker needs.

    A newer version is fine: newer migrations keep the functions that older workers use, for deploys.

    Raises:
        StartupAway: it is unreachable.
        StartupError: it refuses the key, or lacks the migrations.
    """
    try:
        version = store.schema_version()
    except PlatformFailure as failure:
        raise _platform_error(failure) from None
    if version is None or version < SCHEMA_VERSION:
        found = "does not have the worker's migrations" if version is None else f"has version {version} of them"
        raise StartupError(
            f"This worker needs version {SCHEMA_VERSION} of the worker's migrations, and the database {found}: apply "
            "supabase/migrations/ (supabase db push, or the files in order in the SQL editor), then start again."
        )


def check_storage(store: SupabaseClient) -> None:
    """Check that Storage has the bucket and takes a test picture.

    Raises:
        StartupAway: it is unreachable.
        StartupError: it refuses the picture.
    """
    try:
        probe_storage(store)
    except StorageRefused as refused:
        raise StartupError(
            f"SUPABASE_URL: Storage refuses pictures in the bucket {BUCKET}: {said_by(refused)}. It must exist in this "
            "project, be private, and take image/jpeg of some megabytes (Storage in the Supabase dashboard)."
        ) from None
    except PlatformFailure as failure:
        raise _platform_error(failure) from None


def said_by(failure: PlatformFailure) -> str:
    """The reason and Supabase's own words, in one line."""
    return f"{failure.reason}, {failure.detail}" if failure.detail else failure.reason


def _platform_error(failure: PlatformFailure) -> StartupError:
    said = said_by(failure)
    match failure:
        case PlatformLocked() if failure.reason == "HTTP 402":
            return StartupError(
                f"Supabase does not serve the project: {said}. Look in its dashboard: it is paused or over its limits."
            )
        case PlatformLocked() if failure.reason.startswith("HTTP 3"):
            return StartupError(
                f"SUPABASE_URL: not the API's address, it {failure.detail}. Use the Project URL of the dashboard."
            )
        case PlatformLocked() if "CERTIFICATE" in failure.detail.upper():
            return StartupError(
                f"SUPABASE_URL: the certificate is not trusted ({said}). Check the address; only certificates of "
                "public authorities are accepted."
            )
        case PlatformLocked():
            return StartupError(
                f"SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key ({said}). It must be the service role key or a "
                "secret key (sb_secret_...) of this project, and not disabled."
            )
        case PlatformUnavailable():
            # The message does not say "does not answer": a limit, a gateway's page and a starting database are answers.
            return StartupAway(f"SUPABASE_URL: Supabase cannot be used now ({said}). Check SUPABASE_URL in .env.")
        case _:
            return StartupError(f"Supabase refuses the worker's first question: {said}.")
