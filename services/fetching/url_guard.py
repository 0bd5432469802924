"""[pure] May this URL, and this resolved address, be fetched (NFR-3.1)? Nothing is resolved or opened here.

Two questions, asked at two moments by ``services/fetching/image_download.py``:

* ``check_url`` reads the URL the way it will be used and refuses everything that is not a plain public http(s) address;
* ``check_address`` is asked about every address a name resolves to, and the connection goes to a checked address only.

The table of refused networks is our own: what the standard library's ``is_global`` says differs between Python patch
releases, and it calls several networks public that carry an IPv4 address inside.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Self
from urllib.parse import quote, urlsplit

import idna

from models.failures import ImageAddressRefused
from models.task_payload import MAX_URL_CHARS

IpAddress = IPv4Address | IPv6Address

STANDARD_PORTS = {"http": 80, "https": 443}
"""The only schemes, and the only ports an untrusted host may be asked on (either port with either scheme)."""

MAX_HOST_CHARS = 253
"""Longest name DNS can carry in text form (RFC 1035 section 2.3.4)."""

MAX_LABEL_CHARS = 63
"""Longest label of a name (RFC 1035 section 2.3.4)."""

MAX_PORT = 65_535

REFUSED_IPV4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this host"),  # RFC 791
        ("10.0.0.0/8", "private"),  # RFC 1918
        ("100.64.0.0/10", "shared address space"),  # RFC 6598; 100.100.100.200 is Alibaba Cloud's metadata
        ("127.0.0.0/8", "loopback"),  # RFC 1122
        ("168.63.129.16/32", "cloud metadata"),  # Azure's WireServer: a public address that is always the own host's
        ("169.254.0.0/16", "link-local"),  # RFC 3927; 169.254.169.254 is the metadata address of most clouds
        ("172.16.0.0/12", "private"),  # RFC 1918
        ("192.0.0.0/24", "protocol assignments"),  # RFC 6890; 192.0.0.192 is Oracle Cloud's metadata
        ("192.0.2.0/24", "documentation"),  # RFC 5737
        ("192.31.196.0/24", "AS112"),  # RFC 7535
        ("192.52.193.0/24", "AMT relays"),  # RFC 7450
        ("192.88.99.0/24", "6to4 relays"),  # RFC 7526
        ("192.168.0.0/16", "private"),  # RFC 1918
        ("192.175.48.0/24", "AS112"),  # RFC 7534
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544
        ("198.51.100.0/24", "documentation"),  # RFC 5737
        ("203.0.113.0/24", "documentation"),  # RFC 5737
        ("224.0.0.0/4", "multicast"),  # RFC 5771
        ("240.0.0.0/4", "reserved"),  # RFC 1112; 255.255.255.255 is the broadcast address (RFC 919)
    )
)
"""IPv4 networks no picture is fetched from, each with what it is (IANA special-purpose registry, clouds' documents)."""

IPV6_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The only part of IPv6 handed out to public hosts (RFC 4291 section 2.4, IANA); all else is refused."""

REFUSED_IPV6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), what)
    for network, what in (
        # Inside global unicast: these entries decide.
        ("2001::/23", "protocol assignments"),  # RFC 2928: Teredo 2001::/32 (RFC 4380), benchmarking 2001:2::/48
        # (RFC 5180), ORCHID 2001:10::/28 (RFC 4843), ORCHIDv2 2001:20::/28 (RFC 7343), DRIP 2001:30::/28 (RFC 9374)
        ("2001:db8::/32", "documentation"),  # RFC 3849
        ("2002::/16", "6to4"),  # RFC 3056: carries an IPv4 address
        ("2620:4f:8000::/48", "AS112"),  # RFC 7534
        ("3fff::/20", "documentation"),  # RFC 9637
        # Outside it: refused anyway; named so that the log says what the address was.
        ("::/128", "this host"),  # RFC 4291
        ("::1/128", "loopback"),  # RFC 4291
        ("::/96", "IPv4-compatible"),  # RFC 4291
        ("::ffff:0:0/96", "IPv4-mapped"),  # RFC 4291
        ("::ffff:0:0:0/96", "IPv4-translated"),  # RFC 2765
        ("64:ff9b::/96", "NAT64"),  # RFC 6052
        ("64:ff9b:1::/48", "NAT64"),  # RFC 8215
        ("100::/64", "discard"),  # RFC 6666
        ("100:0:0:1::/64", "dummy prefix"),  # RFC 9780
        ("5f00::/16", "segment routing"),  # RFC 9602
        ("fc00::/7", "private"),  # RFC 4193; fd00:ec2::254 is AWS's metadata
        ("fe80::/10", "link-local"),  # RFC 4291
        ("fec0::/10", "site-local"),  # RFC 3879
        ("ff00::/8", "multicast"),  # RFC 4291
    )
)
"""IPv6 networks no picture is fetched from, each with what it is; the first match names it."""

# ISATAP (RFC 5214 section 6.1): any prefix, then 0000:5efe or 0200:5efe, then an IPv4 address.
_ISATAP_MASK = 0xFDFF_FFFF << 32
_ISATAP_BITS = 0x0000_5EFE << 32

_FORBIDDEN_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
"""Controls and blanks split requests and headers; a backslash is a slash to some parsers (WHATWG) and not to others."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
"""One label of a host name; the underscore is not in RFC 1123 but is in real names."""

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label like this makes resolvers read the whole host as an IPv4 address in some notation (WHATWG URL 3.5)."""

_PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class TrustedHosts:
    """Hosts exempt from the address and port rules, and from nothing else (``IMAGE_URL_TRUSTED_HOSTS``).

    ``entries`` holds (normalised host, port); a port of ``None`` stands for every port of that host.
    """

    entries: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def parse(cls, text: str | Iterable[str]) -> Self:
        """Read ``host`` and ``host:port`` entries, comma-separated or one by one; IPv6 addresses go in brackets.

        Raises:
            ValueError: an entry is neither; the message names it.
        """
        names = text.split(",") if isinstance(text, str) else text
        return cls(frozenset(_trusted_entry(name.strip()) for name in names if name.strip()))

    def __contains__(self, host_and_port: tuple[str, int]) -> bool:
        host, _ = host_and_port
        return host_and_port in self.entries or (host, None) in self.entries


@dataclass(frozen=True, slots=True)
class FetchTarget:
    """A URL taken apart, in the form the request is made from.

    ``host`` is lower-case ASCII without brackets or a final dot; ``request_target`` is path and query exactly as the
    producer wrote them (a signed URL must not change) and stays out of ``repr`` (its query is a credential).
    """

    scheme: str
    host: str
    port: int
    request_target: bytes = field(repr=False)
    is_trusted: bool

    @property
    def address(self) -> IpAddress | None:
        """The address, when the URL names one instead of a host name."""
        return _literal_address(self.host)

    @property
    def host_header(self) -> str:
        """Value of the Host header (RFC 9110 section 7.2): the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == STANDARD_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, trusted_hosts: TrustedHosts) -> FetchTarget:
    """Take ``url`` apart and refuse it unless it is a plain http(s) address that may be fetched.

    A fragment is dropped, as it is never sent. A name passes here and is judged by its addresses (``check_address``).

    Raises:
        ImageAddressRefused: scheme, credentials, port, host or characters are not allowed, or the host is an address
            of a refused network.
    """
    if len(url) > MAX_URL_CHARS:
        raise ImageAddressRefused("the URL is too long")
    if _FORBIDDEN_IN_URL.search(url):
        raise ImageAddressRefused("the URL holds a control character, a blank or a backslash")
    try:
        parts = urlsplit(url)
    except ValueError:  # unbalanced brackets; letters that turn into delimiters when normalised
        raise ImageAddressRefused("the URL is malformed") from None
    if parts.scheme not in STANDARD_PORTS:
        raise ImageAddressRefused("the URL is neither http nor https")
    if "@" in parts.netloc:
        raise ImageAddressRefused("the URL holds credentials")

    host_text, port_text = _split_authority(parts.netloc)
    host = _normalised_host(host_text)
    port = STANDARD_PORTS[parts.scheme] if port_text is None else _port(port_text)
    is_trusted = (host, port) in trusted_hosts
    if not is_trusted:
        _refuse_unless_public(host, port)
    return FetchTarget(
        scheme=parts.scheme,
        host=host,
        port=port,
        request_target=_request_target(parts.path, parts.query),
        is_trusted=is_trusted,
    )


def check_address(address: IpAddress | str) -> None:
    """Refuse every address that is not a public unicast one.

    Raises:
        ImageAddressRefused: the address is in a refused network; the message names the kind, not the address.
    """
    ip = ip_address(address) if isinstance(address, str) else address
    refused = _refused_ipv4(ip) if isinstance(ip, IPv4Address) else _refused_ipv6(ip)
    if refused is not None:
        raise ImageAddressRefused(f"the host's address is not public ({refused})")


def _refused_ipv4(ip: IPv4Address) -> str | None:
    return next((what for network, what in REFUSED_IPV4 if ip in network), None)


def _refused_ipv6(ip: IPv6Address) -> str | None:
    named = next((what for network, what in REFUSED_IPV6 if ip in network), None)
    if named is not None:
        return named
    if ip not in IPV6_GLOBAL_UNICAST:
        return "not global unicast"
    return "ISATAP" if int(ip) & _ISATAP_MASK == _ISATAP_BITS else None


def _refuse_unless_public(host: str, port: int) -> None:
    if port not in STANDARD_PORTS.values():
        raise ImageAddressRefused("the port is neither 80 nor 443")
    literal = _literal_address(host)
    if literal is not None:
        check_address(literal)


def _split_authority(netloc: str) -> tuple[str, str | None]:
    """Host and port as written; a port that is there but empty counts as absent (RFC 3986 section 6.2.3)."""
    if netloc.startswith("["):
        host, bracket, rest = netloc.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ImageAddressRefused("the host is malformed")
        return host + bracket, rest[1:] or None
    host, _, port = netloc.partition(":")
    return host, port or None


def _port(text: str) -> int:
    # str.isdigit alone accepts digits of other scripts, and int() accepts "+80" and "8_0".
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PORT)) and 0 < int(text) <= MAX_PORT:
        return int(text)
    raise ImageAddressRefused("the port is malformed")


def _normalised_host(text: str) -> str:
    """Lower-case ASCII form of a host; an address comes out in its one canonical notation."""
    if text.startswith("["):
        return _canonical_ipv6(text[1:-1])
    host = _ascii_host(text).removesuffix(".")
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARS or not all(_LABEL.fullmatch(x) and len(x) <= MAX_LABEL_CHARS for x in labels):
        raise ImageAddressRefused("the host is malformed")
    # Resolvers read 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 as 127.0.0.1: only the dotted form is an address here.
    if _NUMBER.fullmatch(labels[-1]) and not isinstance(_literal_address(host), IPv4Address):
        raise ImageAddressRefused("the host is an address in an unusual notation")
    return host


def _ascii_host(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        # UTS 46 is what browsers do: case, full-width letters and the other full stops are mapped first.
        return idna.encode(text, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        raise ImageAddressRefused("the host is not a valid international name") from None


def _canonical_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ImageAddressRefused("the host is malformed") from None
    if address.scope_id is not None:
        raise ImageAddressRefused("the address holds a zone")
    return str(address)


def _literal_address(host: str) -> IpAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _request_target(path: str, query: str) -> bytes:
    target = f"{path or '/'}?{query}" if query else path or "/"
    # Everything a URL may hold stays as it is; other letters are sent as percent-encoded UTF-8 (RFC 3987 section 3.1).
    return quote(target, safe=_PRINTABLE_ASCII).encode("ascii")


def _trusted_entry(text: str) -> tuple[str, int | None]:
    try:
        host_text, port_text = _split_authority(text)
        return _normalised_host(host_text), None if port_text is None else _port(port_text)
    except ImageAddressRefused as refused:
        raise ValueError(f"{text!r} is neither a host nor host:port: {refused}") from None
