from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from handrail.egress import Decision, Verdict
from handrail.kinds import Kind
from handrail.sessions import network
from handrail.sessions.network import MOST, Network
from handrail.types import Json

DENIED = Decision("a.example", 443, Verdict.DENIED, "not allowed")


@dataclass
class Book:
    """What was put into the log."""

    lines: list[Json] = field(default_factory=list)

    def put(self, kind: Kind, data: Json) -> None:
        assert kind is Kind.NETWORK_DECIDED
        self.lines.append(data)


def test_the_first_is_told_at_once_and_repetitions_are_counted() -> None:
    book = Book()
    taken = Network(book.put)
    for _ in range(1000):
        taken.decided(DENIED)
    assert [line["times"] for line in book.lines] == [1]
    taken.settle()
    taken.settle()
    assert [line["times"] for line in book.lines] == [1, 999]
    assert book.lines[0] == {
        "host": "a.example",
        "port": 443,
        "verdict": "denied",
        "reason": "not allowed",
        "times": 1,
    }


def test_what_goes_on_for_long_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    taken = Network(book.put)
    taken.decided(DENIED)
    taken.decided(DENIED)
    monkeypatch.setattr(network, "PAUSE", 0.0)
    taken.decided(DENIED)
    assert [line["times"] for line in book.lines] == [1, 2]


def test_bytes_are_told_when_a_connection_has_ended() -> None:
    book = Book()
    taken = Network(book.put)
    taken.decided(Decision("a.example", 443, Verdict.ALLOWED, "allowed"))
    taken.decided(Decision("a.example", 443, Verdict.ENDED, "allowed", 700))
    taken.settle()
    assert [(line["verdict"], line["times"], line.get("bytes")) for line in book.lines] == [
        ("allowed", 1, None),
        ("allowed", 0, 700),
    ]


def test_a_flood_of_names_is_told_together() -> None:
    book = Book()
    taken = Network(book.put)
    for number in range(5000):
        taken.decided(Decision(f"h{number}.example", 443, Verdict.DENIED, "not allowed"))
    taken.settle()
    assert len(book.lines) == MOST + 2
    assert sum(int(str(line["times"])) for line in book.lines) == 5000
