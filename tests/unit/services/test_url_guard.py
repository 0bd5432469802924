"""Which URLs and addresses may be fetched: every hostile notation we know, as a table."""

from ipaddress import ip_address

import pytest

from models.failures import ImageAddressRefused
from models.task_payload import MAX_URL_CHARS
from services.fetching.url_guard import MAX_HOST_CHARS, FetchTarget, TrustedHosts, check_address, check_url

NOBODY = TrustedHosts()

REFUSED_ADDRESSES = {
    "this host": "0.0.0.0",  # noqa: S104 — an address to refuse, nothing is bound to it
    "this network": "0.1.2.3",
    "private 10": "10.0.0.1",
    "private 172.16, first": "172.16.0.0",
    "private 172.16, last": "172.31.255.255",
    "private 192.168": "192.168.1.1",
    "shared address space, first": "100.64.0.0",
    "shared address space, last": "100.127.255.255",
    "Alibaba metadata": "100.100.100.200",
    "loopback": "127.0.0.1",
    "loopback, last": "127.255.255.255",
    "AWS, Google and Azure metadata": "169.254.169.254",
    "AWS container credentials": "169.254.170.2",
    "Azure WireServer": "168.63.129.16",
    "Oracle metadata": "192.0.0.192",
    "protocol assignments": "192.0.0.8",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "AS112": "192.31.196.1",
    "AS112 direct": "192.175.48.1",
    "AMT": "192.52.193.1",
    "6to4 relay": "192.88.99.1",
    "benchmarking": "198.19.255.255",
    "multicast": "224.0.0.1",
    "multicast documentation": "233.252.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "v4-compatible": "::127.0.0.1",
    "v4-compatible, public": "::8.8.8.8",
    "v4-mapped": "::ffff:127.0.0.1",
    "v4-mapped, public": "::ffff:8.8.8.8",
    "v4-translated": "::ffff:0:127.0.0.1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of metadata": "64:ff9b::169.254.169.254",
    "local NAT64": "64:ff9b:1::1",
    "discard": "100::1",
    "dummy prefix": "100:0:0:1::1",
    "Teredo": "2001:0:7f00:1::1",
    "v6 benchmarking": "2001:2::1",
    "ORCHID": "2001:10::1",
    "ORCHIDv2": "2001:20::1",
    "DRIP": "2001:30::1",
    "v6 documentation": "2001:db8::1",
    "v6 documentation, newer": "3fff::1",
    "v6 documentation, newer, last": "3fff:fff:ffff::1",
    "6to4 of loopback": "2002:7f00:1::1",
    "6to4 of private": "2002:a00:1::1",
    "v6 AS112": "2620:4f:8000::1",
    "segment routing": "5f00::1",
    "unique local": "fc00::1",
    "AWS metadata v6": "fd00:ec2::254",
    "Google metadata v6": "fd20:ce::254",
    "v6 link-local": "fe80::1",
    "v6 link-local with zone": "fe80::1%1",
    "site-local": "fec0::1",
    "v6 multicast": "ff02::1",
    "not handed out": "4000::1",
    "not handed out, low": "1::1",
    "ISATAP of loopback": "2600:1234::5efe:7f00:1",
    "ISATAP of loopback, global bit": "2600:1234::200:5efe:7f00:1",
}

PUBLIC_ADDRESSES = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "3ffe::1",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES.values(), ids=REFUSED_ADDRESSES.keys())
def test_an_address_that_is_not_public_is_refused_without_being_named(address: str) -> None:
    with pytest.raises(ImageAddressRefused) as refused:
        check_address(address)
    assert address not in str(refused.value)
    with pytest.raises(ImageAddressRefused):
        check_address(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_a_public_address_is_allowed_up_to_the_edge_of_the_refused_networks(address: str) -> None:
    check_address(address)


REFUSED_URLS = {
    # Schemes
    "no scheme": "pictures.example/a.jpg",
    "relative to a scheme": "//pictures.example/a.jpg",
    "empty": "",
    "ftp": "ftp://pictures.example/a.jpg",
    "file": "file:///etc/passwd",
    "data": "data:image/png;base64,AAAA",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript": "javascript:alert(1)",
    "scheme with a blank": " https://pictures.example/a.jpg",
    # Credentials
    "user": "https://user@pictures.example/a.jpg",
    "user and password": "https://user:secret@pictures.example/a.jpg",
    "empty user": "https://@pictures.example/a.jpg",
    "host dressed as user": "https://pictures.example@127.0.0.1/a.jpg",
    "host and port dressed as user": "https://pictures.example:443@127.0.0.1/a.jpg",
    "two at signs": "https://a@b@127.0.0.1/",
    "encoded at sign in the host": "https://pictures.example%40127.0.0.1/a.jpg",
    # Ports
    "redis port": "http://pictures.example:6379/",
    "ssh port": "http://pictures.example:22/",
    "port zero": "http://pictures.example:0/",
    "port too large": "http://pictures.example:65536/",
    "port with thousands of digits": f"http://pictures.example:{'9' * 5000}/",
    "negative port": "http://pictures.example:-80/",
    "port with a plus": "http://pictures.example:+80/",
    "port with an underscore": "http://pictures.example:8_0/",
    "port in Arabic digits": "http://pictures.example:\u0668\u0660/",
    "two ports": "http://pictures.example:80:80/",
    "letters for a port": "http://pictures.example:http/",
    # Control characters, blanks and backslashes
    "line break in the path": "http://pictures.example/a\r\nHost: evil",
    "line break in the host": "http://pictures\n.example/",
    "tab in the host": "http://127.0\t.0.1/",
    "zero byte": "http://pictures.example/\x00",
    "delete": "http://pictures.example/\x7f",
    "C1 control": "http://pictures.example/\x85",
    "blank in the path": "http://pictures.example/a b",
    "blank in the host": "http://pictures.example 127.0.0.1/",
    "backslash before an at sign": "http://pictures.example\\@127.0.0.1/",
    "backslashes for slashes": "http:\\\\127.0.0.1\\",
    "backslash in the path": "http://pictures.example/\\127.0.0.1",
    # Loopback and friends, plainly
    "loopback": "http://127.0.0.1/",
    "loopback with a final dot": "http://127.0.0.1./",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "private": "https://10.1.2.3/a.jpg",
    "unspecified": "http://0.0.0.0/",
    # The same in other notations
    "decimal": "http://2130706433/",
    "decimal metadata": "http://2852039166/",
    "decimal overflow": "http://4294967297/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal, upper case": "http://0X7F000001/",
    "hexadecimal parts": "http://0x7f.0x0.0x0.0x1/",
    "octal": "http://017700000001/",
    "octal parts": "http://0177.0.0.1/",
    "mixed": "http://0x7f.1/",
    "two parts": "http://127.1/",
    "three parts": "http://127.0.1/",
    "zero": "http://0/",
    "padded": "http://127.000.000.001/",
    "five parts": "http://1.1.1.1.1/",
    "public in decimal": "http://16843009/",
    "part too large": "http://256.1.1.1/",
    "number with a final dot": "http://2130706433./",
    # Letters that turn into digits, dots and delimiters
    "circled digits": "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "full-width digits": "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "ideographic full stops": "http://127\u30020\u30020\u30021/",
    "half-width full stops": "http://127\uff610\uff610\uff611/",
    "full-width letters of a scheme": "\uff48ttp://pictures.example/",
    "full-width slash in the host": "http://pictures.example\uff0f@127.0.0.1/",
    "full-width number sign in the host": "http://127.0.0.1\uff03.pictures.example/",
    "account-of sign": "http://pictures\u2100.example/",
    "soft hyphens around an address": "http://127.0.0.\u00ad1/",
    "zero-width space": "http://pictures\u200b.127.0.0.1/",
    "right-to-left mixed": "http://\u05d0a.example/",
    "lone surrogate": "http://pictures\ud800.example/",
    "percent-encoded address": "http://%31%32%37.0.0.1/",
    # IPv6
    "v6 loopback": "http://[::1]/",
    "v6 loopback, long": "http://[0:0:0:0:0:0:0:1]/",
    "v6 unspecified": "http://[::]/",
    "v4-mapped": "http://[::ffff:127.0.0.1]/",
    "v4-mapped in hexadecimal": "http://[::ffff:7f00:1]/",
    "v4-compatible": "http://[::127.0.0.1]/",
    "NAT64": "http://[64:ff9b::127.0.0.1]/",
    "6to4": "http://[2002:7f00:1::]/",
    "unique local": "http://[fd00:ec2::254]/",
    "link-local with zone": "http://[fe80::1%25eth0]/",
    "public with zone": "http://[2606:4700:4700::1111%25eth0]/",
    "unclosed bracket": "http://[::1/",
    "unopened bracket": "http://::1]/",
    "letters after the bracket": "http://[2606:4700:4700::1111]evil/",
    "letters before the bracket": "http://evil[2606:4700:4700::1111]/",
    "a name in brackets": "http://[pictures.example]/",
    "future address": "http://[v1.a]/",
    "v6 without brackets": "http://2606:4700:4700::1111/",
    # Hosts
    "no host": "http:///a.jpg",
    "only a port": "http://:80/",
    "only dots": "http://../",
    "empty label": "http://pictures..example/",
    "leading dot": "http://.example/",
    "leading hyphen": "http://-pictures.example/",
    "label too long": f"http://{'a' * 64}.example/",
    "name too long": f"http://{'.'.join(['a' * 60] * 5)}/",
    "asterisk": "http://*.example/",
    "shell characters": "http://$(id).example/",
    "address ended by a fragment": "http://127.0.0.1#.pictures.example/",
    "address ended by a query": "http://127.0.0.1?.pictures.example/",
    # Size
    "too long": f"https://pictures.example/{'a' * MAX_URL_CHARS}",
}


@pytest.mark.parametrize("url", REFUSED_URLS.values(), ids=REFUSED_URLS.keys())
def test_a_hostile_url_is_refused_before_anything_is_resolved(url: str) -> None:
    with pytest.raises(ImageAddressRefused):
        check_url(url, NOBODY)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://pictures.example/", "neither http nor https"),
        ("https://user@pictures.example/", "credentials"),
        ("https://pictures.example:8443/", "port"),
        ("https://127.1/", "notation"),
        ("https://192.168.0.1/", "private"),
        ("https://pictures.example/\n", "control character"),
    ],
)
def test_a_refusal_says_which_rule_was_broken(url: str, reason: str) -> None:
    with pytest.raises(ImageAddressRefused, match=reason):
        check_url(url, NOBODY)


ALLOWED_URLS = {
    "plain": ("https://pictures.example/a.jpg", "https", "pictures.example", 443, b"/a.jpg"),
    "no path": ("http://pictures.example", "http", "pictures.example", 80, b"/"),
    "query without path": ("http://pictures.example?x=1", "http", "pictures.example", 80, b"/?x=1"),
    "upper case": ("HTTPS://Pictures.EXAMPLE/A.jpg", "https", "pictures.example", 443, b"/A.jpg"),
    "own port": ("https://pictures.example:443/", "https", "pictures.example", 443, b"/"),
    "the other standard port": ("http://pictures.example:443/", "http", "pictures.example", 443, b"/"),
    "empty port": ("http://pictures.example:/", "http", "pictures.example", 80, b"/"),
    "final dot": ("http://pictures.example./", "http", "pictures.example", 80, b"/"),
    "underscore": ("http://my_shop.example/", "http", "my_shop.example", 80, b"/"),
    "digits in the name": ("http://1.2.3.4.example/", "http", "1.2.3.4.example", 80, b"/"),
    "public address": ("http://1.1.1.1/", "http", "1.1.1.1", 80, b"/"),
    "public v6 address": ("http://[2606:4700:4700:0::1111]/", "http", "2606:4700:4700::1111", 80, b"/"),
    "umlaut": ("http://b\u00fccher.example/", "http", "xn--bcher-kva.example", 80, b"/"),
    "upper-case umlaut": ("http://B\u00dcCHER.example/", "http", "xn--bcher-kva.example", 80, b"/"),
    "umlaut in the path": ("http://pictures.example/\u00fc", "http", "pictures.example", 80, b"/%C3%BC"),
    "at sign in the path": ("http://pictures.example/@127.0.0.1", "http", "pictures.example", 80, b"/@127.0.0.1"),
    "fragment with a trap": ("http://pictures.example#@127.0.0.1/", "http", "pictures.example", 80, b"/"),
    "dots in the path stay": ("http://pictures.example/a/../b", "http", "pictures.example", 80, b"/a/../b"),
    "signed": (
        "https://x.supabase.co/storage/v1/object/sign/b/%2e%2F~(a)'!$&*+,;=:@?token=eyJ.a-b_c%3D&x=[1]|{2}",
        "https",
        "x.supabase.co",
        443,
        b"/storage/v1/object/sign/b/%2e%2F~(a)'!$&*+,;=:@?token=eyJ.a-b_c%3D&x=[1]|{2}",
    ),
}


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "request_target"), ALLOWED_URLS.values(), ids=ALLOWED_URLS.keys()
)
def test_an_ordinary_url_is_taken_apart_and_its_path_and_query_stay_as_they_are(
    url: str, scheme: str, host: str, port: int, request_target: bytes
) -> None:
    assert check_url(url, NOBODY) == FetchTarget(
        scheme=scheme, host=host, port=port, request_target=request_target, is_trusted=False
    )


def test_the_longest_name_dns_can_carry_is_allowed() -> None:
    name = ".".join(["a" * 61, "b" * 63, "c" * 63, "d" * 63])
    assert len(name) == MAX_HOST_CHARS
    assert check_url(f"http://{name}/", NOBODY).host == name


@pytest.mark.parametrize(
    ("url", "host_header"),
    [
        ("https://pictures.example/", "pictures.example"),
        ("http://pictures.example:443/", "pictures.example:443"),
        ("https://[2606:4700:4700::1111]/", "[2606:4700:4700::1111]"),
        ("http://[2606:4700:4700::1111]:443/", "[2606:4700:4700::1111]:443"),
    ],
)
def test_the_host_header_names_the_port_only_where_it_is_not_the_schemes_own(url: str, host_header: str) -> None:
    assert check_url(url, NOBODY).host_header == host_header


@pytest.mark.parametrize(
    ("trusted", "url", "is_trusted"),
    [
        ("127.0.0.1", "http://127.0.0.1:8123/a.jpg", True),
        ("127.0.0.1:8123", "http://127.0.0.1:8123/a.jpg", True),
        ("127.0.0.1:80", "http://127.0.0.1/a.jpg", True),
        ("LOCALHOST", "http://localhost:9/a.jpg", True),
        ("[::1]:8123", "http://[0:0::1]:8123/a.jpg", True),
        ("other.example, 127.0.0.1", "http://127.0.0.1/", True),
        ("pictures.example", "https://pictures.example/", True),
        ("pictures.example", "https://evil.pictures.example/", False),
        ("pictures.example", "https://pictures.example.evil.example/", False),
        ("127.0.0.1:8123", "http://pictures.example#@127.0.0.1:8123/", False),
        ("", "https://pictures.example/", False),
    ],
)
def test_a_trusted_host_is_matched_whole_and_by_port_where_one_is_given(
    trusted: str, url: str, is_trusted: bool
) -> None:
    assert check_url(url, TrustedHosts.parse(trusted)).is_trusted is is_trusted


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8124/",
        "http://127.0.0.2:8123/",
        "http://user@127.0.0.1:8123/",
        "ftp://127.0.0.1:8123/",
        "http://127.1:8123/",
        "http://169.254.169.254#@127.0.0.1:8123/",
        "http://127.0.0.1:8123\\@evil.example/",
    ],
)
def test_trust_in_one_host_and_port_lifts_no_other_rule(url: str) -> None:
    with pytest.raises(ImageAddressRefused):
        check_url(url, TrustedHosts.parse("127.0.0.1:8123"))


@pytest.mark.parametrize("text", ["http://host", "host:port", "host:0", "a b", "user@host", "127.1", "[::1", "host/x"])
def test_a_malformed_trusted_host_is_an_error_that_names_the_entry(text: str) -> None:
    with pytest.raises(ValueError, match="neither a host nor host:port") as error:
        TrustedHosts.parse(text)
    assert text in str(error.value)


def test_a_signed_query_shows_neither_in_the_target_nor_in_a_refusal() -> None:
    assert "SECRET" not in repr(check_url("https://pictures.example/a?token=SECRET", NOBODY))
    for url in ("https://127.0.0.1/a?token=SECRET", "https://u@pictures.example/?token=SECRET", "ftp://x/?SECRET"):
        with pytest.raises(ImageAddressRefused) as refused:
            check_url(url, NOBODY)
        assert "SECRET" not in str(refused.value)
