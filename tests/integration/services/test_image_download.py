"""Downloading from a live server that misbehaves in every way we know, with the real client over real sockets."""

import asyncio
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from models.failures import Failure, ImageAddressRefused, ImageTooLarge, ImageUnreachable, ImageWithoutType, NotAnImage
from services.byte_budget import Holding
from services.fetching.image_download import (
    DOWNLOAD_DEADLINE_SECONDS,
    MAX_ADDRESSES_TRIED,
    MAX_DOWNLOAD_BYTES,
    DownloadedImage,
    Resolver,
    download_image,
    resolve_host,
)
from services.fetching.url_guard import TrustedHosts
from tests.support.clock import SteppableLoop, run_in, sleep_at_once
from tests.support.fault_server import PICTURE, TINY_CHUNKS_BYTES, FaultServer, fault_server

LOOPBACK = TrustedHosts.parse("127.0.0.1")
NOBODY = TrustedHosts()

SHORT_DEADLINE_SECONDS = 0.4
"""For the tests whose server never finishes."""

MUCH_LONGER_SECONDS = 5.0
"""If a download with the short deadline takes this long, the deadline did not hold."""

TASKS_AT_ONCE = 200
"""The default of ``WORKER_CONCURRENCY``."""

TINY_CHUNKS_PEAK_BYTES = 1024 * 1024
"""Buffers of both ends and the libraries' objects; a list of the chunks would take 50 bytes for each two."""

PUBLIC_ADDRESS, OTHER_PUBLIC_ADDRESS = "93.184.216.34", "2606:2800:220:1::1"


def resolver(*answers: Sequence[str]) -> tuple[Resolver, list[str]]:
    """A name server that gives another answer each time, and the list of names it was asked for."""
    asked: list[str] = []
    remaining = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return remaining.pop(0)

    return resolve, asked


def outcome(path: str, **options: Any) -> DownloadedImage | Failure:
    """What downloading a fault ends in."""

    async def run() -> DownloadedImage:
        async with fault_server() as server:
            return await download_image(server.url(path), trusted_hosts=LOOPBACK, **options)

    try:
        return run_in(SteppableLoop(), run())
    except Failure as failure:
        return failure


def outcome_data(path: str) -> bytes:
    """The bytes that downloading a fault yields."""
    downloaded = outcome(path)
    assert isinstance(downloaded, DownloadedImage)
    return downloaded.data


@pytest.mark.parametrize(
    "path",
    [
        "/honest",
        "/media_type_with_parameters",
        "/no_length",
        "/sends_more_than_announced",
        "/chunked",
        "/compressed_though_not_asked",
        "/deflated_though_not_asked",
        "/not_compressed_as_announced",
        "/made_up_encoding_of_a_store",
        "/made_up_encoding_of_a_form",
        "/encoding_none",
    ],
)
def test_a_picture_arrives_whole_however_it_is_transferred(path: str) -> None:
    assert outcome(path) == DownloadedImage(PICTURE, "image/jpeg")


def test_nobody_looks_at_the_cookies_of_a_host(recwarn: pytest.WarningsRecorder) -> None:
    assert outcome("/cookie_without_end") == DownloadedImage(PICTURE, "image/jpeg")
    assert not recwarn.list, "the standard library stumbles over this one"


@pytest.mark.parametrize(
    ("path", "failure", "status"),
    [
        ("/redirect", ImageUnreachable, 302),
        ("/redirect_with_a_picture", ImageUnreachable, 301),
        ("/not_found", ImageUnreachable, 404),
        ("/server_error", ImageUnreachable, 503),
        ("/partial_content", ImageUnreachable, 206),
        ("/no_content", ImageUnreachable, 204),
        ("/html", NotAnImage, None),
        ("/no_content_type", ImageWithoutType, None),
        ("/image_somewhere_in_the_type", ImageWithoutType, None),
        ("/octet_stream", ImageWithoutType, None),
        ("/picture_stored_as_text", ImageWithoutType, None),
        ("/octet_stream_of_something_else", NotAnImage, None),
        ("/octet_stream_of_two_bytes", NotAnImage, None),
        ("/announces_too_much", ImageTooLarge, None),
        ("/sends_without_end", ImageTooLarge, None),
        ("/sends_chunks_without_end", ImageTooLarge, None),
        ("/gzip_bomb", ImageTooLarge, None),
        ("/brotli", ImageUnreachable, None),
        ("/compressed_twice", ImageUnreachable, None),
        ("/compressed_and_cut", ImageUnreachable, None),
        ("/neither_a_picture_nor_compressed", ImageUnreachable, None),
        ("/framed_as_aws_chunked", ImageUnreachable, None),
        ("/closes_before_the_announced_end", ImageUnreachable, None),
        ("/negative_length", ImageUnreachable, None),
        ("/length_of_thousands_of_digits", ImageUnreachable, None),
        ("/two_lengths", ImageUnreachable, None),
        ("/closes_at_once", ImageUnreachable, None),
        ("/not_http", ImageUnreachable, None),
        ("/headers_without_end", ImageUnreachable, None),
        ("/redirect_to_no_name", ImageUnreachable, 302),
        ("/redirect_to_no_url", ImageUnreachable, 302),
    ],
)
def test_a_misbehaving_host_ends_in_the_failure_that_says_what_it_did(
    path: str, failure: type[Failure], status: int | None
) -> None:
    ended = outcome(path)
    assert type(ended) is failure
    assert getattr(ended, "status", None) == status


def test_a_redirect_is_reported_as_one_and_its_target_is_not_asked() -> None:
    async def run() -> list[bytes]:
        async with fault_server() as server:
            with pytest.raises(ImageUnreachable, match="redirects are not followed"):
                await download_image(server.url("/redirect"), trusted_hosts=LOOPBACK)
            return server.heads

    assert len(asyncio.run(run())) == 1


@pytest.mark.parametrize("path", ["/sends_without_end", "/sends_chunks_without_end"])
def test_reading_stops_at_the_limit_and_not_at_the_end_of_the_stream(path: str) -> None:
    async def bytes_sent() -> int:
        async with fault_server() as server:
            with pytest.raises(ImageTooLarge) as too_large:
                await download_image(server.url(path), trusted_hosts=LOOPBACK, max_bytes=200_000)
            assert (too_large.value.limit, too_large.value.unit) == (200_000, "bytes")
            return server.bytes_sent

    in_flight_on_loopback = 16 * 1024 * 1024  # what the kernel's buffers of both ends may hold
    assert asyncio.run(bytes_sent()) < 200_000 + in_flight_on_loopback


def test_a_compressed_bomb_is_never_inflated_beyond_the_limit() -> None:
    tracemalloc.start()
    try:
        assert isinstance(outcome("/gzip_bomb"), ImageTooLarge)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * MAX_DOWNLOAD_BYTES


def test_a_picture_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() -> None:
    assert isinstance(outcome("/no_length", max_bytes=len(PICTURE)), DownloadedImage)
    assert isinstance(outcome("/no_length", max_bytes=len(PICTURE) - 1), ImageTooLarge)
    assert isinstance(outcome("/compressed_though_not_asked", max_bytes=len(PICTURE) - 1), ImageTooLarge)


@pytest.mark.parametrize(
    "path", ["/silent", "/silent_after_the_head", "/drips", "/drips_headers", "/drips_interim_answers"]
)
def test_one_deadline_bounds_the_whole_download_and_a_drip_does_not_stretch_it(path: str) -> None:
    started = time.monotonic()
    ended = outcome(path, deadline_seconds=SHORT_DEADLINE_SECONDS)
    assert isinstance(ended, ImageUnreachable)
    assert "not complete within" in ended.reason
    assert time.monotonic() - started < MUCH_LONGER_SECONDS


def test_a_name_server_that_never_answers_is_bounded_by_the_same_deadline() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets the event")

    with pytest.raises(ImageUnreachable, match="not complete within"):
        asyncio.run(
            download_image(
                "http://pictures.example/",
                trusted_hosts=NOBODY,
                resolve=resolve,
                deadline_seconds=SHORT_DEADLINE_SECONDS,
            )
        )


def test_a_lookup_that_blocks_its_thread_does_not_keep_the_loop_from_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def blocks(*_arguments: Any, **_options: Any) -> list[Any]:
        release.wait(timeout=60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", blocks)
    started = time.monotonic()
    try:
        with pytest.raises(ImageUnreachable):
            asyncio.run(
                download_image(
                    "http://pictures.example/", trusted_hosts=NOBODY, deadline_seconds=SHORT_DEADLINE_SECONDS
                )
            )
        assert time.monotonic() - started < MUCH_LONGER_SECONDS
    finally:
        release.set()


def test_lookups_that_a_silent_name_server_holds_up_do_not_keep_those_of_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as tasks run at once."""
    stuck, release = threading.Semaphore(0), threading.Event()

    def look_up(host: str, *_arguments: Any, **_options: Any) -> list[Any]:
        if host == "silent.example":
            stuck.release()
            release.wait(timeout=60)
            return []
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC_ADDRESS, 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def run() -> Sequence[str]:
        waiting = [asyncio.ensure_future(resolve_host("silent.example", 80)) for _ in range(TASKS_AT_ONCE)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(MUCH_LONGER_SECONDS):
                return await resolve_host("pictures.example", 80)
        finally:
            release.set()
            await asyncio.gather(*waiting)

    assert asyncio.run(run()) == [PUBLIC_ADDRESS]
    assert all(stuck.acquire(blocking=False) for _ in range(TASKS_AT_ONCE))


class StandInInternet(asyncio.SelectorEventLoop):
    """A loop on which every address leads to one loopback port, or nowhere; it notes the addresses asked for."""

    def __init__(self, unreachable: Sequence[str] = ()) -> None:
        super().__init__()
        self.leads_to = 0
        self.unreachable = unreachable
        self.connected_to: list[tuple[Any, Any]] = []

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        self.connected_to.append((host, port))
        if host in self.unreachable:
            raise ConnectionRefusedError(f"{host} refused")
        return await super().create_connection(protocol_factory, "127.0.0.1", self.leads_to, **options)


def on_stand_in_internet(
    use: Callable[[FaultServer], Awaitable[Any]], unreachable: Sequence[str] = ()
) -> tuple[Any, StandInInternet, FaultServer]:
    """Run ``use`` where every public address is the fault server."""
    internet = StandInInternet(unreachable)

    async def run() -> tuple[Any, FaultServer]:
        async with fault_server() as server:
            internet.leads_to = server.port
            return await use(server), server

    with asyncio.Runner(loop_factory=lambda: internet) as runner:
        result, server = runner.run(run())
    return result, internet, server


def test_a_name_that_changes_its_answer_after_the_check_is_asked_once_and_reached_at_the_checked_address() -> None:
    resolve, asked = resolver([PUBLIC_ADDRESS], ["127.0.0.1"])
    picture, internet, _ = on_stand_in_internet(
        lambda _: download_image("http://rebinding.example/honest", trusted_hosts=NOBODY, resolve=resolve)
    )
    assert picture.data == PICTURE
    assert asked == ["rebinding.example"]
    assert internet.connected_to == [(PUBLIC_ADDRESS, 80)]


@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_one_private_answer_among_public_ones_refuses_the_name_without_connecting(private: str) -> None:
    async def attempt(_server: FaultServer) -> ImageAddressRefused:
        resolve, _ = resolver([PUBLIC_ADDRESS, private])
        with pytest.raises(ImageAddressRefused) as refused:
            await download_image("http://mixed.example/honest", trusted_hosts=NOBODY, resolve=resolve)
        return refused.value

    refused, internet, _ = on_stand_in_internet(attempt)
    assert internet.connected_to == []
    assert "mixed.example" in str(refused)
    assert private not in str(refused)


def test_a_private_address_in_the_url_is_refused_without_resolving_or_connecting() -> None:
    resolve, asked = resolver(["127.0.0.1"])

    async def attempt(_server: FaultServer) -> None:
        with pytest.raises(ImageAddressRefused):
            await download_image("http://127.0.0.1/honest", trusted_hosts=NOBODY, resolve=resolve)

    _, internet, _ = on_stand_in_internet(attempt)
    assert (asked, internet.connected_to) == ([], [])


def test_an_address_that_cannot_be_reached_gives_way_to_the_next_checked_one() -> None:
    resolve, _ = resolver([OTHER_PUBLIC_ADDRESS, PUBLIC_ADDRESS])
    picture, internet, _ = on_stand_in_internet(
        lambda _: download_image("http://pictures.example/honest", trusted_hosts=NOBODY, resolve=resolve),
        unreachable=[OTHER_PUBLIC_ADDRESS],
    )
    assert picture.data == PICTURE
    assert internet.connected_to == [(OTHER_PUBLIC_ADDRESS, 80), (PUBLIC_ADDRESS, 80)]


def test_a_name_with_hundreds_of_dead_addresses_is_given_up_after_a_few() -> None:
    dead = [f"93.184.216.{last}" for last in range(200)]
    resolve, _ = resolver(dead)

    async def attempt(_server: FaultServer) -> None:
        with pytest.raises(ImageUnreachable, match=r"pictures\.example: no connection"):
            await download_image("http://pictures.example/", trusted_hosts=NOBODY, resolve=resolve)

    _, internet, _ = on_stand_in_internet(attempt, unreachable=dead)
    assert len(internet.connected_to) == MAX_ADDRESSES_TRIED


def test_an_error_answer_is_final_and_no_other_address_is_asked() -> None:
    resolve, _ = resolver([PUBLIC_ADDRESS, OTHER_PUBLIC_ADDRESS])

    async def attempt(_server: FaultServer) -> None:
        with pytest.raises(ImageUnreachable, match="HTTP 404"):
            await download_image("http://pictures.example/not_found", trusted_hosts=NOBODY, resolve=resolve)

    _, internet, _ = on_stand_in_internet(attempt)
    assert len(internet.connected_to) == 1


def test_the_request_names_the_host_and_carries_the_signed_path_byte_for_byte() -> None:
    resolve, _ = resolver([PUBLIC_ADDRESS])
    signed = "/honest?token=a%2Fb%2fc~(d)'[e]|+%20&f=%41"
    _, _, server = on_stand_in_internet(
        lambda _: download_image(f"http://Pictures.Example{signed}", trusted_hosts=NOBODY, resolve=resolve)
    )
    head = server.heads[0].decode()
    assert head.startswith(f"GET {signed} HTTP/1.1\r\n")
    assert "\r\nhost: pictures.example\r\n" in head.replace("Host:", "host:")
    assert "accept-encoding: identity\r\n" in head.lower()
    assert PUBLIC_ADDRESS not in head


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(outcome("/honest"), DownloadedImage)


def test_a_trusted_name_may_resolve_to_loopback_and_is_pinned_all_the_same() -> None:
    async def run() -> list[str]:
        async with fault_server(hosts=("127.0.0.1", "127.0.0.2")) as server:
            resolve, _ = resolver(["127.0.0.2"], ["127.0.0.1"])
            trusted = TrustedHosts.parse(f"storage.internal:{server.port}")
            await download_image(server.url("/honest", host="storage.internal"), trusted_hosts=trusted, resolve=resolve)
            return server.local_addresses

    assert asyncio.run(run()) == ["127.0.0.2"]


def test_an_untrusted_port_of_a_trusted_host_is_refused() -> None:
    with pytest.raises(ImageAddressRefused):
        asyncio.run(download_image("http://127.0.0.1:6379/", trusted_hosts=TrustedHosts.parse("127.0.0.1:8123")))


@pytest.mark.parametrize("answer", [[], None])
def test_a_name_without_addresses_is_unreachable(answer: Sequence[str] | None) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        if answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answer

    with pytest.raises(ImageUnreachable, match=r"pictures\.example: the name does not resolve"):
        asyncio.run(download_image("http://pictures.example/", trusted_hosts=NOBODY, resolve=resolve))


def test_the_systems_resolver_is_asked_and_its_loopback_answer_for_localhost_is_refused() -> None:
    assert set(asyncio.run(resolve_host("localhost", 80))) <= {"127.0.0.1", "::1"}
    with pytest.raises(ImageAddressRefused, match="localhost"):
        asyncio.run(download_image("http://localhost/", trusted_hosts=NOBODY))


@pytest.mark.parametrize("path", ["/not_found", "/redirect", "/html", "/closes_at_once", "/not_http", "/silent"])
def test_neither_query_nor_address_nor_library_text_is_in_a_failure_or_in_any_log(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    resolve, _ = resolver(["127.0.0.1"])

    async def run() -> Failure:
        async with fault_server() as server:
            trusted = TrustedHosts.parse("storage.internal")
            url = server.url(f"{path}?token=SECRET", host="storage.internal")
            with pytest.raises(Failure) as failure:
                await download_image(
                    url, trusted_hosts=trusted, resolve=resolve, deadline_seconds=SHORT_DEADLINE_SECONDS
                )
            return failure.value

    failure = asyncio.run(run())
    assert "storage.internal" in str(failure)
    assert "Using selector" in caplog.text  # what libraries tell for debugging is seen
    assert "SECRET" not in str(failure) + caplog.text
    assert "127.0.0.1" not in str(failure)
    assert failure.__suppress_context__ or failure.__context__ is None


def test_a_host_that_sends_two_bytes_at_a_time_costs_no_more_memory_than_its_bytes() -> None:
    tracemalloc.start()
    try:
        assert len(outcome_data("/sends_two_bytes_at_a_time")) == TINY_CHUNKS_BYTES
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < TINY_CHUNKS_PEAK_BYTES


class SlowMemory(Holding):
    """Memory that is there only after a while by the loop's time, the first time; keeps what it was asked for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.asked: list[tuple[int, int]] = []

    def try_hold(self, size_bytes: int, at_most_bytes: int) -> bool:
        return False

    async def hold(self, size_bytes: int, at_most_bytes: int) -> None:
        self.asked.append((size_bytes, at_most_bytes))
        seconds, self._seconds = self._seconds, 0.0
        await sleep_at_once(seconds)


def test_waiting_for_memory_is_not_held_against_the_host() -> None:
    assert isinstance(outcome("/honest", memory=SlowMemory(2 * DOWNLOAD_DEADLINE_SECONDS)), DownloadedImage)


def test_what_the_host_takes_after_waiting_for_memory_is_still_bounded() -> None:
    memory = SlowMemory(2 * SHORT_DEADLINE_SECONDS)
    ended = outcome("/drips", memory=memory, deadline_seconds=SHORT_DEADLINE_SECONDS)
    assert isinstance(ended, ImageUnreachable)
    assert "not complete within" in ended.reason


@pytest.mark.parametrize(
    ("path", "at_most_bytes"),
    [
        ("/honest", len(PICTURE)),
        ("/no_length", MAX_DOWNLOAD_BYTES),
        ("/chunked", MAX_DOWNLOAD_BYTES),
        ("/encoding_none", len(PICTURE)),
        ("/compressed_though_not_asked", MAX_DOWNLOAD_BYTES),
    ],
)
def test_memory_is_asked_for_what_arrived_and_told_what_it_can_come_to(path: str, at_most_bytes: int) -> None:
    memory = SlowMemory(0)
    assert isinstance(outcome(path, memory=memory), DownloadedImage)
    assert memory.asked[-1] == (len(PICTURE), at_most_bytes)


def test_many_threads_with_loops_of_their_own_download_at_the_same_time() -> None:
    results = []
    threads = [threading.Thread(target=lambda: results.append(outcome("/honest"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [DownloadedImage(PICTURE, "image/jpeg")] * 16


def test_the_limit_is_ten_mebibytes_as_the_requirements_say() -> None:
    assert MAX_DOWNLOAD_BYTES == 10 * 1024 * 1024
