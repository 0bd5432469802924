"""What the operator reads when Supabase does not serve the worker: the other side's own words, and what to do.

Whether it may pass by itself decides whether the worker waits for it, so each case says that too.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.platform.producer import Producer
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.supabase import LocalSupabase
from services.platform.supabase_client import SupabaseClient
from tests.support.platform_proxy import (
    BUCKET_INFO,
    EVERYTHING,
    STORAGE,
    UPLOAD,
    PlatformProxy,
    Reply,
    database_error,
    page,
    redirect,
    said,
    storage_error,
)
from tests.support.tls import Authority, TlsFront
from worker.supervision.startup import StartupAway, StartupError, check_database, check_storage

KEY = "sb_secret_of-another-project"

CASES: dict[str, tuple[str, Reply, type[StartupError], list[str]]] = {
    "a wrong key": (
        EVERYTHING,
        said(401, message="Invalid API key", hint=f"Double check {KEY}."),
        StartupError,
        ["SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key (HTTP 401, Invalid API key. Double check [secret]"],
    ),
    "a legacy key": (
        EVERYTHING,
        said(401, message="Legacy API keys are disabled"),
        StartupError,
        ["(HTTP 401, Legacy API keys are disabled)", "a secret key (sb_secret_...) of this project"],
    ),
    "a key of a browser": (
        EVERYTHING,
        database_error(403, "42501", "permission denied for function wearon_worker_schema_version"),
        StartupError,
        ["refuses the key (42501, permission denied for function"],
    ),
    "a paused project": (
        EVERYTHING,
        said(402, message="exceed_egress_quota"),
        StartupError,
        ["HTTP 402, exceed_egress_quota", "paused or over its limits"],
    ),
    "a redirect": (
        EVERYTHING,
        redirect("https://app.example/login?next=secret"),
        StartupError,
        ["SUPABASE_URL: not the API's address, it redirects to https://app.example/login", "the Project URL"],
    ),
    "a page": (
        EVERYTHING,
        page(404, "There is nothing here"),
        StartupAway,
        ["SUPABASE_URL: Supabase cannot be used now (HTTP 404, 404 There is nothing here)"],
    ),
    "a page that calls itself a success": (
        EVERYTHING,
        page(200, "Dashboard"),
        StartupAway,
        ["cannot be used now (not the answer, 200 Dashboard)", "Check SUPABASE_URL"],
    ),
    "another's JSON": (
        EVERYTHING,
        said(200, message="welcome"),
        StartupAway,
        ["cannot be used now (not the answer, an object with message)"],
    ),
    "a limit of requests": (
        EVERYTHING,
        said(429, message="Too many requests"),
        StartupAway,
        ["cannot be used now (HTTP 429, Too many requests)"],
    ),
    "a database that starts": (
        EVERYTHING,
        database_error(503, "57P03", "the database system is starting up"),
        StartupAway,
        ["(57P03, the database system is starting up)"],
    ),
    "a storage that is away": (
        STORAGE,
        page(503, "Service Unavailable"),
        StartupAway,
        ["cannot be used now (HTTP 503, 503 Service Unavailable)"],
    ),
    "a storage of another project": (
        UPLOAD,
        storage_error(403, "Unauthorized", "signature verification failed"),
        StartupError,
        ["refuses the key (HTTP 403, Unauthorized. signature verification failed)"],
    ),
    "no bucket": (
        BUCKET_INFO,
        storage_error(404, "Bucket not found", "Bucket not found"),
        StartupError,
        ["Storage refuses pictures in the bucket virtual-tryon-images: HTTP 404, Bucket not found. It must exist"],
    ),
    "a bucket that takes no JPEG": (
        UPLOAD,
        storage_error(415, "invalid_mime_type", "mime type image/jpeg is not supported"),
        StartupError,
        ["HTTP 415, invalid_mime_type. mime type image/jpeg is not supported", "take image/jpeg"],
    ),
    "a bucket that takes little": (
        BUCKET_INFO,
        said(200, name="virtual-tryon-images", file_size_limit=1_000),
        StartupError,
        ["size limit, the bucket takes files of up to 1000 bytes"],
    ),
}


@pytest.fixture
def proxy(producer: Producer, supabase: LocalSupabase) -> Iterator[PlatformProxy]:
    with PlatformProxy(supabase.url) as gateway:
        yield gateway


def check(url: str, key: str) -> StartupError | None:
    store = SupabaseClient(url, key)
    try:
        check_database(store)
        check_storage(store)
    except StartupError as error:
        return error
    finally:
        store.close()
    return None


@pytest.mark.parametrize("name", CASES)
def test_the_other_side_s_words_are_repeated_and_what_to_do_is_said(
    proxy: PlatformProxy, supabase: LocalSupabase, name: str
) -> None:
    path, reply, kind, words = CASES[name]
    proxy.answer(path, reply)
    error = check(proxy.url, supabase.service_role_key)
    assert type(error) is kind
    assert [word for word in words if word not in str(error)] == []
    assert len(str(error).splitlines()) == 1
    for secret in (KEY, "next=secret", supabase.service_role_key):
        assert secret not in str(error)


def test_a_platform_that_serves_is_passed(proxy: PlatformProxy, supabase: LocalSupabase) -> None:
    assert check(proxy.url, supabase.service_role_key) is None


def test_a_certificate_of_nobody_is_told_from_a_server_that_is_away(tmp_path: Path) -> None:
    with TlsFront(Authority.create(tmp_path, "nobody").server_context(tmp_path, LOOPBACK), 1) as front:
        error = check(f"https://{LOOPBACK}:{front.port}", KEY)
    assert type(error) is StartupError
    assert "SUPABASE_URL: the certificate is not trusted (ConnectError, " in str(error)
    assert "certificate verify failed" in str(error)


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://nobody.invalid", "(ConnectError, [Errno "), ("http://127.0.0.1:9", "(ConnectError, [Errno 111]")],
)
def test_a_name_nobody_knows_and_a_port_nobody_serves_may_pass(url: str, words: str) -> None:
    error = check(url, KEY)
    assert type(error) is StartupAway
    assert f"SUPABASE_URL: Supabase cannot be used now {words}" in str(error)
