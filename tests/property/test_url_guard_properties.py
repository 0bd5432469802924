"""What holds for every address and every text, not only for the ones in the tables."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from models.failures import ImageAddressRefused
from services.fetching.url_guard import STANDARD_PORTS, FetchTarget, TrustedHosts, check_address, check_url

NOBODY = TrustedHosts()

IPV4_CARRIERS = {
    "mapped": "::ffff:0:0",
    "compatible": "::",
    "translated": "::ffff:0:0:0",
    "NAT64": "64:ff9b::",
    "ISATAP": "2a00:1450::5efe:0:0",
}
"""IPv6 addresses whose last 32 bits are an IPv4 address."""

URL_PIECES = st.sampled_from(
    [
        *"abz019.:/@#?%[]\\-_~ \t\r\n\x00",
        *("http", "https", "://", "127.0.0.1", "::1", "localhost", "0x7f", "xn--", "%00", "%2f", "%40"),
        *("\u3002", "\uff0e", "\uff0f", "\u2460", "\u00ad", "\u200b", "\u00fc", "\u00df", "\ud800"),
    ]
)
HOSTILE_TEXT = st.lists(URL_PIECES, max_size=14).map("".join)
HOSTILE_URLS = st.builds(
    lambda scheme, rest: scheme + rest, st.sampled_from(["http://", "https://", "HTTP://", "http:/", ""]), HOSTILE_TEXT
)
ASCII_AUTHORITIES = st.text("ab01.:@#?/%-_[]x", max_size=12).map(lambda text: f"http://pictures.example{text}")


def is_refused(address: IPv4Address | IPv6Address) -> bool:
    try:
        check_address(address)
    except ImageAddressRefused:
        return True
    return False


@given(st.ip_addresses())
def test_whatever_this_pythons_library_calls_not_global_is_refused(address: IPv4Address | IPv6Address) -> None:
    assume(not address.is_global or address.is_multicast or address.is_reserved)
    assert is_refused(address)


@given(st.ip_addresses(v=6))
def test_nothing_outside_global_unicast_is_allowed(address: IPv6Address) -> None:
    assert is_refused(address) or int(address) >> 125 == 0b001


@pytest.mark.parametrize("carrier", IPV4_CARRIERS.values(), ids=IPV4_CARRIERS.keys())
@given(inner=st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_address_is_refused_whatever_it_is(carrier: str, inner: IPv4Address) -> None:
    assert is_refused(IPv6Address(int(ip_address(carrier)) | int(inner)))


@given(inner=st.ip_addresses(v=4), rest=st.integers(0, 2**80 - 1))
def test_every_6to4_and_teredo_address_is_refused(inner: IPv4Address, rest: int) -> None:
    assert is_refused(IPv6Address(0x2002 << 112 | int(inner) << 80 | rest))
    assert is_refused(IPv6Address(0x2001_0000 << 96 | int(inner) << 64 | rest >> 16))


def accepted(url: str) -> FetchTarget | None:
    """The target, or ``None`` when refused; any other exception fails the test."""
    try:
        return check_url(url, NOBODY)
    except ImageAddressRefused:
        return None


@given(HOSTILE_URLS)
@example("http://[::1")
@example("http://\ud800.example/")
@example("http://a.example:" + "9" * 5000)
def test_any_text_is_either_refused_or_becomes_a_target_that_can_be_sent(url: str) -> None:
    target = accepted(url)
    if target is not None:
        assert target.scheme in STANDARD_PORTS
        assert target.port in STANDARD_PORTS.values()
        assert target.host.isascii()
        assert target.host == target.host.lower()
        assert not set(target.host) & set("/\\@#?%[] \t\r\n")
        assert target.request_target.startswith(b"/")
        assert all(0x20 < byte < 0x7F for byte in target.request_target)


@given(ASCII_AUTHORITIES)
def test_the_http_client_reads_the_same_host_and_port_from_every_url_we_accept(url: str) -> None:
    target = accepted(url)
    if target is not None:
        theirs = httpx.URL(url)
        assert theirs.raw_host.decode().removesuffix(".") == target.host
        assert (theirs.port or STANDARD_PORTS[target.scheme]) == target.port


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\#"), max_size=60))
def test_path_and_query_are_sent_byte_for_byte(path_and_query: str) -> None:
    target = check_url(f"https://pictures.example/{path_and_query}", NOBODY)
    assert target.request_target == f"/{path_and_query}".encode().removesuffix(b"?")


@given(st.ip_addresses())
def test_an_address_in_a_url_is_judged_like_the_address_itself(address: IPv4Address | IPv6Address) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    assert (accepted(f"http://{host}/") is None) == is_refused(address)
