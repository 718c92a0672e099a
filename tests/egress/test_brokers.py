from __future__ import annotations

import base64
import random

import pytest

from handrail.egress import Broker, HostPort, Permit, Refused
from handrail.egress.brokers import Scrubber, upstream_of, with_secret
from handrail.egress.heads import Head

SECRET = "sk-real+secret/42"
BROKER = Broker(
    "search",
    "https://api.example.com/v1/",
    "Authorization",
    SECRET,
    "Bearer",
    (Permit("GET", "/items"), Permit("POST", "/items/search"), Permit("*", "/open/")),
)


def head(method: str = "GET") -> Head:
    return Head(method, "", "1", (), b"")


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/items", "/v1/items"),
        ("GET", "/items/7?x=/../y", "/v1/items/7?x=/../y"),
        ("POST", "/items/search", "/v1/items/search"),
        ("DELETE", "/open/x", "/v1/open/x"),
        ("GET", "/open", "/v1/open"),
    ],
)
def test_what_is_permitted_goes_to_the_upstream(method: str, path: str, target: str) -> None:
    to = upstream_of(BROKER, head(method), path)
    assert (to.place, to.tls, to.target) == (HostPort("api.example.com", 443), True, target)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/items"), ("GET", "/"), ("GET", "/itemsx"), ("GET", "/items/../admin"), ("GET", "/items/.")),
        *(
            ("GET", "/items/%2e%2e/admin"),
            ("GET", "/items%2fx"),
            ("GET", "/items//x"),
            ("GET", "/items/%252e"),
            ("GET", "/i\\x"),
        ),
        *(("GET", "/items;x=/../admin"), ("GET", "/items/..%5cadmin"), ("GET", "/items/%00"), ("GET", "/items/..")),
    ],
)
def test_what_is_not_permitted_is_refused(method: str, path: str) -> None:
    with pytest.raises(Refused):
        upstream_of(BROKER, head(method), path)


def test_an_upstream_may_have_a_port_and_no_tls() -> None:
    to = upstream_of(Broker("x", "http://db.example.com:8080", "X-Key", SECRET), head(), "/a")
    assert (to.place, to.tls, to.target) == (HostPort("db.example.com", 8080), False, "/a")


def test_the_secret_takes_the_placeholders_place() -> None:
    fields = with_secret(
        BROKER,
        [
            (b"authorization", b"Bearer placeholder"),
            (b"AUTHORIZATION", b"x"),
            (b"accept-encoding", b"gzip"),
            (b"a", b"b"),
        ],
    )
    assert fields == [
        (b"a", b"b"),
        (b"Authorization", f"Bearer {SECRET}".encode()),
        (b"Accept-Encoding", b"identity"),
    ]


def test_a_secret_is_taken_out_however_the_body_is_cut() -> None:
    forms = [SECRET.encode(), base64.b64encode(SECRET.encode()), b"sk-real%2Bsecret%2F42"]
    text = b"no " + b" and ".join(forms) + b" sk-real+secret/4 sk-real+sec"
    clean = text
    for form in forms:
        clean = clean.replace(form, b"*" * len(form))
    dice = random.Random(3)  # noqa: S311
    for _ in range(300):
        scrubber, out, at = Scrubber(BROKER), b"", 0
        while at < len(text):
            size = dice.randrange(1, 12)
            out += scrubber.feed(text[at : at + size])
            at += size
        out += scrubber.end()
        assert out == clean
        assert not any(form in out for form in forms)


def test_ordinary_text_is_not_held_back() -> None:
    assert Scrubber(BROKER).feed(b"data: hello\n\n") == b"data: hello\n\n"
