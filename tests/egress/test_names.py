from __future__ import annotations

import pytest

from handrail.egress import HostPort, Refused, names


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("pypi.org", "pypi.org"),
        ("PyPI.ORG", "pypi.org"),
        ("pypi.org.", "pypi.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("3com.com", "3com.com"),
        ("10.1.2.3", "10.1.2.3"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("0x7f.example", "0x7f.example"),
    ],
)
def test_a_host_has_one_spelling(given: str, host: str) -> None:
    assert names.host(given) == host


@pytest.mark.parametrize(
    "given",
    [
        *("", ".", "..", "pypi.org..", ".pypi.org", "a..b", "pypi.org\0.evil.com", "pypi.org@evil.com", "pypi org"),
        *("pypi.org%2eevil.com", "pypi.org/", "pypi.org#", "pypi.org?x", "pypi_org", "-a.com", "a-.com", "bücher.de"),
        *(
            "a" * 64 + ".com",
            "a." * 130 + "com",
            "*.pypi.org",
            "pypi.org\r\n",
            "pypi\t.org",
            "\uff50ypi.org",
            "\u2024com",
        ),
        *(
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "127.0.0.01",
            "0x7f.1",
            "1.2.3",
            "1.2.3.4.5",
            "127.0.0.0x1",
        ),
        *(
            "256.1.1.1",
            "1.2.3.08",
            "a.0x10",
            "a.1",
            "a.0x",
            "[::ffff:127.0.0.1%1]",
            "[0:0::1]",
            "[::1%lo]",
            "[127.0.0.1]",
        ),
        *("::1", "[::1", "::1]", "[]", "[::FFFF:7F00:0001]"),
    ],
)
def test_what_could_be_read_in_two_ways_is_no_host(given: str) -> None:
    with pytest.raises(Refused) as refused:
        names.host(given)
    assert refused.value.host.isprintable()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("pypi.org:443", HostPort("pypi.org", 443)),
        ("pypi.org", HostPort("pypi.org", 80)),
        ("[2001:db8::1]:8443", HostPort("2001:db8::1", 8443)),
        ("[2001:db8::1]", HostPort("2001:db8::1", 80)),
    ],
)
def test_an_authority_is_a_host_and_a_port(given: str, place: HostPort) -> None:
    assert names.authority(given, 80) == place


@pytest.mark.parametrize(
    "given",
    [
        *("pypi.org:", "pypi.org:0", "pypi.org:65536", "pypi.org:443:80", "pypi.org:+443", "pypi.org:\uff10443"),
        *("pypi.org:044", "u@pypi.org:443", "u:p@pypi.org", ":443", "pypi.org:443/", "pypi.org:443 ", "pypi.org: 443"),
    ],
)
def test_what_is_no_authority_is_refused(given: str) -> None:
    with pytest.raises(Refused):
        names.authority(given, 80)


def test_a_port_must_be_named_where_there_is_no_default() -> None:
    with pytest.raises(Refused):
        names.authority("pypi.org")


def test_places_print_as_they_are_written() -> None:
    assert str(HostPort("pypi.org", 443)) == "pypi.org:443"
    assert str(HostPort("2001:db8::1", 443)) == "[2001:db8::1]:443"


def test_shown_is_safe_to_show() -> None:
    assert names.shown("a\x1b[31m\r\nb" + "x" * 400).isascii()
    assert len(names.shown("x" * 400)) == names.LONGEST
