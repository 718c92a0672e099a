from __future__ import annotations

import pytest

from handrail.egress import Broker, HostPort, Permit, Refused, Rules
from handrail.egress.rules import admit, broker_of, parse
from handrail.errors import InvalidInput
from handrail.registries import REGISTRIES

BROKER = Broker("search", "https://api.search.example/v1", "Authorization", "real-secret", "Bearer")


def allowed(rules: Rules, host: str, port: int = 443) -> bool:
    try:
        admit(rules, HostPort(host, port))
    except Refused:
        return False
    return True


def test_nothing_is_allowed_by_default() -> None:
    assert not allowed(parse([]), "pypi.org")
    assert not allowed(Rules(), "pypi.org")


def test_a_registry_allows_its_hosts_and_no_other() -> None:
    rules = parse(["pypi"])
    assert allowed(rules, "pypi.org")
    assert allowed(rules, "files.pythonhosted.org")
    assert not allowed(rules, "upload.pypi.org")
    assert not allowed(rules, "pypi.org", 80)


def test_host_and_port_are_exact() -> None:
    rules = parse(["API.example.com.", "db.example.com:5432"])
    assert allowed(rules, "api.example.com")
    assert not allowed(rules, "api.example.com", 8443)
    assert not allowed(rules, "x.api.example.com")
    assert not allowed(rules, "xapi.example.com")
    assert not allowed(rules, "example.com")
    assert allowed(rules, "db.example.com", 5432)


def test_a_wildcard_stands_on_a_label_boundary() -> None:
    rules = parse(["*.example.com:8443"])
    assert allowed(rules, "a.example.com", 8443)
    assert allowed(rules, "b.a.example.com", 8443)
    assert not allowed(rules, "example.com", 8443)
    assert not allowed(rules, "evilexample.com", 8443)
    assert not allowed(rules, "a.example.com.evil.org", 8443)
    assert not allowed(rules, "a.example.com")


def test_an_address_is_allowed_only_where_it_is_listed() -> None:
    rules = parse(["10.1.2.3:8080", "[2001:db8::1]:443", "*.example.com"])
    assert allowed(rules, "10.1.2.3", 8080)
    assert allowed(rules, "2001:db8::1")
    assert not allowed(rules, "10.1.2.4", 8080)
    assert not allowed(rules, "127.0.0.1")


@pytest.mark.parametrize(
    "word",
    [
        *("", "*", "*.com", "*.", "a.*.com", "*a.com", "https://a.com", "a.com/x", "a.com:0", "a.com:x", "u@a.com"),
        *("localhost", "2130706433", "0x7f.1", "127.1", "*.10.0.0.1", "a b.com", "a.com\n", "x.broker.internal"),
        *("broker.internal", "*.broker.internal", "PYPI", "pip"),
    ],
)
def test_a_word_that_cannot_be_used_is_named(word: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse([word])
    assert refused.value.field == "network"
    assert refused.value.value == word


def test_too_many_words_are_refused() -> None:
    with pytest.raises(InvalidInput):
        parse(["a.example.com"] * 201)


def test_a_private_name_of_a_company_can_be_listed() -> None:
    assert allowed(parse(["artifacts.corp.internal"]), "artifacts.corp.internal")


def test_every_registry_of_the_table_can_be_used() -> None:
    for name, places in REGISTRIES.items():
        assert {str(place) for place in parse([name]).hosts} == set(places)


def test_the_reason_tells_what_to_do_instead() -> None:
    with pytest.raises(
        Refused, match=r"^a\.example\.com:443 is not allowed .* Ask for it instead of trying another way$"
    ):
        admit(parse([]), HostPort("a.example.com", 443))


def test_a_broker_is_found_by_its_name() -> None:
    rules = parse([], [BROKER])
    assert broker_of(rules, "search.broker.internal") is BROKER
    assert broker_of(rules, "search.example.com") is None
    for host in ("x.search.broker.internal", "other.broker.internal"):
        with pytest.raises(Refused):
            broker_of(rules, host)


def test_a_secret_is_never_shown() -> None:
    assert "real-secret" not in repr(parse([], [BROKER]))


@pytest.mark.parametrize(
    "broker",
    [
        Broker("Search", "https://a.example", "Authorization", "real-secret"),
        Broker("s", "ftp://a.example", "Authorization", "real-secret"),
        Broker("s", "https://", "Authorization", "real-secret"),
        Broker("s", "https://u:p@a.example", "Authorization", "real-secret"),
        Broker("s", "https://a.example:99999", "Authorization", "real-secret"),
        Broker("s", "https://a.example/../x", "Authorization", "real-secret"),
        Broker("s", "https://a.example?x=y", "Authorization", "real-secret"),
        Broker("s", "https://a.example", "Host", "real-secret"),
        Broker("s", "https://a.example", "Bad Header", "real-secret"),
        Broker("s", "https://a.example", "Authorization", "short"),
        Broker("s", "https://a.example", "Authorization", "real\r\nsecret"),
        Broker("s", "https://a.example", "Authorization", "real-secret", permits=(Permit("get", "/"),)),
        Broker("s", "https://a.example", "Authorization", "real-secret", permits=(Permit("GET", "x"),)),
        Broker("s", "https://a.example", "Authorization", "real-secret", permits=(Permit("GET", "/a/../b"),)),
    ],
    ids=lambda broker: f"{broker.name} {broker.upstream} {broker.header}",
)
def test_a_broker_that_cannot_be_used_is_named(broker: Broker) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse([], [broker])
    assert "real-secret" not in str(refused.value)


def test_two_brokers_cannot_have_one_name() -> None:
    with pytest.raises(InvalidInput):
        parse([], [BROKER, BROKER])
